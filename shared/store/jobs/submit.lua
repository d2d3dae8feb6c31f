-- Decide and carry out a submission, whole or not at all: idempotency, rate, cache, single-flight, depth, enqueue.
-- May be sent twice, because a reply can be lost: the second call returns the same answer and changes nothing.
-- ARGV
--   submission  JSON: what the client asks for; a field with `?` is left out when it has its default
--     job_id
--     request_id
--     caller
--     priority      0 high, 1 normal, 2 low
--     timeout_ms    the clock of the job
--     fingerprint?  none when the job may be neither cached nor joined
--     read_cache?   whether a cached answer may be returned
--     join?         whether the submission may join a job in flight
--     joinable?     whether others may join this job
--     cache_ttl?    s for which a success is cached, 0 for never
--     idempotency?  name of the key's record
--     body?         hash of the normalized body
--     webhook_url?
--     webhook_host?  host of the URL
--     mcp?          JSON of the MCP servers and the reasons for them
--     credential?   name of the caller's credential that the job runs on; by default it runs on the deployment's own
--     git_credential?  name of the caller's credential for its repository
--     header_credentials?  names of the caller's credentials in the headers of its MCP servers, a list
--     names_servers?  whether the request names these servers
--     session_id?   the session that the job continues, one job at a time
--     label?        KEY\nTAG: the short id of the caller's key, and the value of the tag by which usage is counted
--     keep_request?  whether the request is read after the job has completed
--     sandbox?      whether only a worker with a sandbox may run the job
--     run_at?       ms before which the job may not start; by default it starts at once
--     files?        its files and attachments, a list: id ('' when the content is in the request), sha256, kind, size and
--                   whether it is attached; of a file with an id, the last but one is read from its record
--     max_attached?  bytes of all attachments
--     trace?        trace context of the request
--   limits      JSON: the limits of the deployment
--     max_waiting          jobs that may wait
--     caller_max_waiting?  jobs of the caller that may wait, any number by default
--     caller_max_bytes?    bytes that the caller may hold in Redis, any number by default
--     rate?                submissions that a caller may make in a window, any number by default
--     window_ms?           the window
--     daily_budget_usd?    what a caller may spend a day, any sum by default
--   request     what the worker reads, JSON
--   metadata    the caller's metadata, JSON, or ''
-- Returns {kind, request id, job id, result JSON or '', 1 if replayed, submissions left, ms until all are left again, ms since
-- the epoch of the first answer}. The kind is queued, duplicate or cached, or a refusal: full, caller_full, caller_bytes,
-- mismatch, limited, broke, revoked, no_sandbox, no_credential, no_git_credential, no_header_credential, no_file, not_attachable
-- or attachments_too_large; for broke, the ms are those until the next day; for the last three, the place of the file among
-- `files`, from 0, stands for the job id, and for a credential its name.
local submission, limits, request, metadata = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), ARGV[3], ARGV[4]
local id, request_id, caller = submission.job_id, submission.request_id, submission.caller
local url, trace = submission.webhook_url, submission.trace or ''
local time = now()
local left, reset = -1, 0

local function answer(kind, first_request, job_id, result, replayed, at)
  return {kind, first_request, job_id, result or '', replayed or 0, left, reset, tonumber(at or time)}
end

-- A process may accept a key for seconds after its revocation; no job may come of that.
if is_revoked(caller) then return answer('revoked', '', '') end
local created = redis.call('HGET', record_of(id), 'created')
if created then return answer('queued', request_id, id, '', 0, created) end

local first = recall(submission)
if first and first.body ~= submission.body then return answer('mismatch', '', '') end
if first then
  return answer(first.kind, first.req, first.job, first.result, first.req == request_id and 0 or 1, first.at)
end

local limited
limited, left, reset = over_rate(caller, limits, time)
if limited then return answer('limited', '', '') end
local refused, place = bind_credentials(submission)
if refused then return answer(refused, '', place) end
refused, place = bind_files(submission, time)
if refused then return answer(refused, '', whole(place)) end
local fingerprint = submission.fingerprint

if fingerprint and submission.read_cache then
  local kept = redis.call('HMGET', cache_of(fingerprint), 'job', 'cost')
  local result = kept[1] and redis.call('GET', output_of(kept[1]))
  if result then
    local is_new_hook = url and redis.call('EXISTS', hook_of(request_id)) == 0
    local bytes = is_new_hook and WEBHOOK + #url + #metadata + #trace or 0
    local more = bytes + record_bytes(submission, kept[1], result)
    if more > 0 and lacks_room(caller, limits, more) then return answer('caller_bytes', '', '') end
    remember(submission, 'cached', kept[1], time, result)
    -- Sent again after a lost reply, the hit has been counted.
    if redis.call('SET', hit_of(request_id), 1, 'NX', 'EX', 10) then
      count('cache_hits')
      redis.call('HINCRBYFLOAT', COUNTERS, 'cache_saved_usd', kept[2])
      add_to_day(caller, 'saved', kept[2])
      add_usage(caller, submission.label or '\n', '', {saved = tonumber(kept[2])})
    end
    if url then
      local host = submission.webhook_host or ''
      add_webhook(kept[1], caller, request_id, request_id, url, host, metadata, 'query.completed', time, trace)
    end
    add_lasting_bytes(kept[1], caller, bytes)
    return answer('cached', request_id, kept[1], result)
  end
end

if fingerprint and submission.join then
  local leader = redis.call('GET', flight_of(fingerprint))
  local job = leader and read(leader, 'state', 'prio', 'fp') or {}
  -- The state comes from the job's record, so that a stale marker of a finished job is not joined.
  local is_open = job.state == 'waiting' or job.state == 'active' or job.state == 'delayed' or job.state == 'paused'
  if job.fp == fingerprint and is_open then
    local joiner = (url or '') .. '\n' .. (submission.webhook_host or '') .. '\n' .. metadata
    if trace ~= '' then joiner = joiner .. '\n' .. trace end
    if redis.call('HEXISTS', joined_of(leader), request_id) == 0 then
      local bytes = JOINED + #joiner + (is_given(submission.idempotency) and IDEMPOTENCY or 0)
      if lacks_room(caller, limits, bytes) then return answer('caller_bytes', '', '') end
      redis.call('HSET', joined_of(leader), request_id, joiner)
      add_lasting_bytes(leader, caller, bytes)
      count('deduplicated')
    end
    if submission.priority < tonumber(job.prio) then change_priority(leader, caller, job.prio, submission.priority) end
    remember(submission, 'duplicate', leader, time)
    return answer('duplicate', request_id, leader)
  end
end

if submission.sandbox and lacks_sandbox(time) then return answer('no_sandbox', '', '') end

refused, reset = over_limits(caller, limits, 1, #request + #metadata + #trace, time, reset)
if refused then return answer(refused, '', '') end

accept(submission, request, metadata, time)
remember(submission, 'queued', id, time)
return answer('queued', request_id, id)
