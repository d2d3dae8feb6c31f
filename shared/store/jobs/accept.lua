-- Part of the scripts that accept jobs: the limits, and the record of a new job.

-- Apply the rate limit: a leaky bucket by its time of arrival (GCRA), which is one number a caller and has no window edge.
-- Returns whether the submission is over the limit, how many are left, and the ms until all are, or until the next may come.
local function over_rate(caller, limits, time)
  if not limits.rate then return false, -1, 0 end
  local key, step, full = rate_of(caller), limits.window_ms / limits.rate, time + limits.window_ms
  -- Fractions of a ms are kept, because a step may be shorter.
  local function set(empty_at)
    redis.call('SET', key, string.format('%.4f', empty_at), 'PX', whole(math.max(1, math.ceil(empty_at - time))))
  end
  local empty_at = tonumber(redis.call('GET', key) or 0)
  if empty_at > full then -- of an earlier limit with a longer window
    empty_at = full
    set(full)
  end
  local arrival = math.max(time, empty_at) + step
  if arrival > full then return true, 0, math.ceil(arrival - full) end
  set(arrival)
  return false, math.floor((limits.window_ms - (arrival - time)) / step), math.ceil(arrival - time)
end

-- Apply the limits of the caller, of the queue and of the caller's day to so many more jobs, which hold so many bytes. A
-- delayed job counts as one that waits.
-- Returns what refuses them, or false, and the ms after which to try again: for the budget, the ms until the next day.
local function over_limits(caller, limits, more, bytes, time, reset)
  local most = limits.caller_max_waiting or 0
  if most > 0 then
    local own = redis.call('ZCARD', jobs_of(caller, 'waiting')) + redis.call('ZCARD', jobs_of(caller, 'delayed'))
    if own + more > most then return 'caller_full', reset end
  end
  if lacks_room(caller, limits, bytes) then return 'caller_bytes', reset end
  -- The lists of the two states have every job that counts, and also those that a slot has popped and not yet claimed.
  local waiting = redis.call('ZCARD', all_of('waiting')) + redis.call('ZCARD', all_of('delayed'))
  if waiting + more > limits.max_waiting then
    waiting = redis.call('ZCARD', WAITING) + redis.call('ZCARD', PARKED) + redis.call('ZCARD', HELD)
      + redis.call('ZCARD', DELAYED)
    if waiting + more > limits.max_waiting then return 'full', reset end
  end
  local budget = limits.daily_budget_usd or 0
  local spent = budget > 0 and tonumber(redis.call('HGET', spend_of(caller, day_of(time)), 'cost') or 0) or -1
  if budget > 0 and spent >= budget then return 'broke', DAY - time % DAY end
  return false, reset
end

-- Find the credentials that a submission uses, and make their versions part of the fingerprint: a job on another value is
-- another job. Returns the refusal and the name of the first one that the caller does not have; nothing when it has all. A
-- server that the router chose is unavailable without its credentials, and the job runs.
local function bind_credentials(submission)
  local names = submission.header_credentials
  if not (submission.credential or submission.git_credential or names) then return end
  local function version_of(name, kind)
    local entry = find_credential(submission.caller, name)
    local credential = entry and cjson.decode(entry) or {}
    return credential.kind == kind and credential.version
  end
  local versions = {}
  if submission.credential then
    local version = version_of(submission.credential, 'anthropic_api_key')
    if not version then return 'no_credential', submission.credential end
    versions[1] = version
  end
  -- A job with a repository shares nothing, and has no fingerprint.
  if submission.git_credential and not version_of(submission.git_credential, 'git') then
    return 'no_git_credential', submission.git_credential
  end
  for _, name in ipairs(names or {}) do
    local version = version_of(name, 'header')
    if not version and submission.names_servers then return 'no_header_credential', name end
    versions[#versions + 1] = version or '-'
  end
  if submission.fingerprint then
    submission.fingerprint = table.concat({submission.fingerprint, unpack(versions)}, '.')
  end
end

-- Return whether no live worker takes jobs that need a sandbox. Without any live worker such a job waits.
local function lacks_sandbox(time)
  local alive = false
  for _, text in ipairs(redis.call('HVALS', WORKERS)) do
    local worker = cjson.decode(text)
    if worker.at > time - 15000 then
      alive = true
      if worker.sandbox == 'namespaces' or worker.sandbox == 'off' then return false end
    end
  end
  return alive
end

-- Write a new job, and put it into the queue or delay it until its `run_at`; the fields of `submission` are listed in submit.lua.
local function accept(submission, request, metadata, time)
  local id, caller, priority, seq = submission.job_id, submission.caller, submission.priority, redis.call('INCR', SEQUENCE)
  local state, session = (submission.run_at or 0) > time and 'delayed' or 'waiting', submission.session_id
  local bytes = #request + #metadata + #(submission.trace or '')
  local record = {
    'v', 1, 'caller', caller, 'req', submission.request_id, 'state', state, 'prio', priority, 'seq', seq, 'n', 1, 'attempts', 0,
    'progress', 0, 'timeout', submission.timeout_ms, 'created', whole(time), 'bytes', bytes,
  }
  local function set(field, value)
    record[#record + 1] = field
    record[#record + 1] = value
  end
  if metadata ~= '' then set('meta', metadata) end
  if submission.webhook_url then
    set('hook', submission.webhook_url)
    set('host', submission.webhook_host or '')
  end
  if submission.trace then set('trace', submission.trace) end
  if submission.keep_request then set('keep', 1) end
  if submission.sandbox then set('sandbox', 1) end
  if session then set(SESSION, session) end
  if submission.credential then set('cred', submission.credential) end
  if submission.mcp then set('mcp', submission.mcp) end
  if submission.fingerprint then
    set('fp', submission.fingerprint)
    set('ttl', submission.cache_ttl or 0)
    if submission.read_cache then count('cache_misses') end
    -- Deleted with its job at the latest: nothing else would clear it after a job that is deleted.
    if submission.joinable then redis.call('SET', flight_of(submission.fingerprint), id) end
  end
  if submission.label then set('label', submission.label) end
  if state == 'delayed' then
    local run_at = whole(submission.run_at)
    set('due', run_at)
    set('runat', run_at)
    redis.call('ZADD', DELAYED, run_at, id)
  elseif session and redis.call('RPUSH', turns_of(caller, session), id) > 1 then
    redis.call('ZADD', PARKED, seq, id)
  else
    local tag = next_tag(caller, priority)
    set('tag', whole(tag))
    enqueue_at(id, priority, tag, submission.sandbox)
  end
  redis.call('HSET', record_of(id), unpack(record))
  redis.call('SET', input_of(id), request)
  redis.call('ZADD', jobs_of(caller, state), seq, id)
  redis.call('ZADD', all_of(state), seq, id)
  add_to_caller(caller, bytes)
  hold_files(submission)
end
