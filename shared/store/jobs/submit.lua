-- Decide and do a submission, whole or not at all: idempotency, rate, cache, single-flight, depth, enqueue.
-- May be sent twice, for a reply can be lost: what was done is told again and not done again.
-- ARGV  1 JSON: jobId requestId caller priority timeout maxWaiting resultTtl
--         fingerprint    '' when it may be neither cached nor joined
--         readCache join cacheTtl (s, 0 keeps nothing)
--         idempotency    name of the key's record, '' without a key; body: hash of the normalised body
--         rate window    most submissions in so many ms; 0 for no limit
--         hook host      where to tell of the end, '' for nowhere
--         mcp            JSON of the MCP servers and why, '' for none
--         budget         USD that a caller may spend a day, 0 for any
--         talk           the conversation that it goes on with, '' for none
--       2 request JSON  3 metadata JSON or ''
-- Returns {kind, requestId, jobId, result JSON or '', 1 if replayed, left, ms until all are left again, ms since the epoch of
-- the first answer}
-- with kind: queued duplicate cached | full mismatch limited broke revoked; for broke, the ms are those until the next day.
local ask = cjson.decode(ARGV[1])
local time = now()
local left, reset = -1, 0

local function answer(kind, request_id, job_id, result, replayed, at)
  return {kind, request_id, job_id, result or '', replayed or 0, left, reset, tonumber(at or time)}
end

-- A process may accept a key for seconds after its revocation; no job may come of that.
if is_revoked(ask.caller) then return answer('revoked', '', '') end
local created = redis.call('HGET', record_of(ask.jobId), 'created')
if created then return answer('queued', ask.requestId, ask.jobId, '', 0, created) end

local first = recall(ask)
if first and first.body ~= ask.body then return answer('mismatch', '', '') end
if first then
  return answer(first.kind, first.req, first.job, first.result, first.req == ask.requestId and 0 or 1, first.at)
end

local limited
limited, left, reset = over_rate(ask, time)
if limited then return answer('limited', '', '') end

if ask.fingerprint ~= '' and ask.readCache then
  local kept = redis.call('HMGET', cache_of(ask.fingerprint), 'job', 'cost')
  local result = kept[1] and redis.call('GET', output_of(kept[1]))
  if result then
    remember(ask, 'cached', kept[1], time, result)
    -- Asked again after a lost reply, it has been counted.
    if redis.call('SET', hit_of(ask.requestId), 1, 'NX', 'EX', 10) then
      count('cache_hits')
      redis.call('HINCRBYFLOAT', COUNTERS, 'cache_saved_usd', kept[2])
      add_to_day(ask.caller, 'saved', kept[2])
    end
    tell(kept[1], ask.caller, ask.requestId, ask.requestId, ask.hook, ask.host, ARGV[3], 'query.completed', time)
    return answer('cached', ask.requestId, kept[1], result)
  end
end

if ask.fingerprint ~= '' and ask.join then
  local leader = redis.call('GET', flight_of(ask.fingerprint))
  local job = leader and read(leader, 'state', 'prio', 'seq', 'fp') or {}
  -- Whether it lives is read from its record, so that no marker can speak for a job that has ended.
  if job.fp == ask.fingerprint and (job.state == 'waiting' or job.state == 'active' or job.state == 'delayed') then
    local told = ask.hook .. '\n' .. ask.host .. '\n' .. ARGV[3]
    if redis.call('HSET', joined_of(leader), ask.requestId, told) == 1 then count('deduplicated') end
    if ask.priority < tonumber(job.prio) then
      redis.call('HSET', record_of(leader), 'prio', ask.priority)
      if job.state == 'waiting' then wait_in_line(leader, ask.priority, job.seq) end
    end
    remember(ask, 'duplicate', leader, time)
    return answer('duplicate', ask.requestId, leader)
  end
end

local refused
refused, reset = no_room(ask, 1, time, reset)
if refused then return answer(refused, '', '') end

accept(ask, ARGV[2], ARGV[3], time)
remember(ask, 'queued', ask.jobId, time)
return answer('queued', ask.requestId, ask.jobId)
