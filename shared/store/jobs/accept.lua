-- Put before the scripts that accept jobs: what holds them back, and how one is written.

-- Leaky bucket by its time of arrival (GCRA): one number a caller, and no window's edge to wait for.
-- Returns whether it is too early, how many are left, and the ms until all are, or until one may come.
local function over_rate(ask, time)
  if ask.rate == 0 then return false, -1, 0 end
  local key, step = rate_of(ask.caller), ask.window / ask.rate
  local arrival = math.max(time, tonumber(redis.call('GET', key) or 0)) + step
  if arrival - time > ask.window then return true, 0, math.ceil(arrival - ask.window - time) end
  redis.call('SET', key, whole(arrival), 'PX', whole(math.ceil(arrival - time)))
  return false, math.floor((ask.window - (arrival - time)) / step), math.ceil(arrival - time)
end

-- Say why so many more jobs cannot be taken, and the ms after which to come again: until the next day, where it is money.
local function no_room(ask, more, time, reset)
  if redis.call('ZCARD', WAITING) + redis.call('ZCARD', PARKED) + more > ask.maxWaiting then return 'full', reset end
  local spent = ask.budget > 0 and tonumber(redis.call('HGET', spend_of(ask.caller, day_of(time)), 'cost') or 0) or -1
  if ask.budget > 0 and spent >= ask.budget then return 'broke', DAY - time % DAY end
  return false, reset
end

local function accept(ask, request, metadata, time)
  local seq = redis.call('INCR', SEQUENCE)
  redis.call('HSET', record_of(ask.jobId), 'v', 1, 'caller', ask.caller, 'req', ask.requestId, 'state', 'waiting',
    'prio', ask.priority, 'seq', seq, 'n', 1, 'attempts', 0, 'progress', 0, 'timeout', ask.timeout, 'created', whole(time))
  if metadata ~= '' then redis.call('HSET', record_of(ask.jobId), 'meta', metadata) end
  if ask.hook ~= '' then redis.call('HSET', record_of(ask.jobId), 'hook', ask.hook, 'host', ask.host) end
  if ask.talk ~= '' then redis.call('HSET', record_of(ask.jobId), 'talk', ask.talk) end
  if ask.mcp ~= '' then redis.call('HSET', record_of(ask.jobId), 'mcp', ask.mcp) end
  if ask.fingerprint ~= '' then
    redis.call('HSET', record_of(ask.jobId), 'fp', ask.fingerprint, 'ttl', ask.cacheTtl)
    if ask.readCache then count('cache_misses') end
    -- Gone with its job at the latest: nothing would clear it after a job that is deleted.
    if ask.joinable then redis.call('SET', flight_of(ask.fingerprint), ask.jobId) end
  end
  redis.call('SET', input_of(ask.jobId), request)
  redis.call('ZADD', jobs_of(ask.caller, 'waiting'), seq, ask.jobId)
  redis.call('ZADD', all_of('waiting'), seq, ask.jobId)
  line_up(ask.jobId, ask.caller, ask.talk ~= '' and ask.talk, ask.priority, seq)
end
