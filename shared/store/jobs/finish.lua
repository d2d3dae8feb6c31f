-- End a job, once. All effects of its end are written here, under its claim.
-- ARGV
--   settlement  JSON:
--     job_id
--     number          claim number
--     state           completed or failed
--     keep_ms         ms for which the job stays readable
--     spend           the cost of the run, JSON, see count_spend
--     upstream        what the attempt showed of Claude, see note_upstream
--     code            error code, or ''
--     wait_ms         ms for which Claude accepts no request
--     saves_usd       what a cached answer saves, USD
--     absent          the MCP servers that did not start or died, JSON, or ''
--     session_id      the session that is kept, or ''
--     keep_session_s  s for which it is kept
--     seen            what was seen of the run, JSON, see note_attempt.lua
--     outputs         the files that the run left, JSON, see outputs.py, or ''
--     deployment      of the claim, see settlement.lua
--   body        the result or the error, JSON
-- Returns 1 when this claim ended the job (also when the same settlement is sent again), 2 when the job was delayed because
-- Claude refuses every request, 3 for a claim of another deployment, else 0.
local settlement, body = cjson.decode(ARGV[1]), ARGV[2]
if is_foreign(settlement.deployment) then return 3 end
-- Bytes of a request that stays after its job has completed.
local MOST_KEPT_REQUEST = 4096
local MOST_WORDS = 120
local id, number, state, code = settlement.job_id, whole(settlement.number), settlement.state, settlement.code

local job = read(id, 'state', 'n', 'caller', 'seq', 'fp', 'ttl', 'keep', 'schedule')
if job.state == 'delayed' and tonumber(job.n) == settlement.number + 1 then return 2 end
if job.n == number and job.state == state then return 1 end
if job.n ~= number or job.state ~= 'active' then
  count_once(id, number, job.caller, settlement.spend)
  return 0
end

local time = now()
redis.call('ZREM', ACTIVE, id) -- the first write frees memory, see end_job
if note_upstream(settlement.upstream, code, settlement.wait_ms, time) then
  -- The job is not at fault. It waits beyond the next probe, so that the probe is another job: a job that is always
  -- refused, such as for its model, must not keep the queue held.
  delay(id, job, time + 2 * PROBE_EVERY)
  count_once(id, number, job.caller, settlement.spend) -- an earlier turn of the run may have cost
  redis.call('HDEL', record_of(id), 'started', 'spent')
  note_attempt(id, time, code, 0, settlement.seen)
  return 2
end
local session_bytes = 0
if state == 'completed' and settlement.session_id ~= '' then
  local kept, keep_s = transcript_of(job.caller, settlement.session_id), settlement.keep_session_s
  local staged = staged_transcript_of(id .. '-' .. number, settlement.session_id)
  session_bytes = append_transcript(paused_transcript_of(id, settlement.session_id), kept, keep_s)
    + append_transcript(staged, kept, keep_s)
end
end_job(id, job, state, time, settlement.keep_ms, code)
count_spend(id, job.caller, settlement.spend)
if job.schedule then note_schedule_run(id, job.schedule) end
if settlement.outputs ~= '' then keep_outputs(id, job.caller, settlement.outputs) end
if settlement.absent ~= '' then redis.call('HSET', record_of(id), 'absent', settlement.absent) end
redis.call('HINCRBY', record_of(id), 'attempts', 1)
note_attempt(id, time, code, 1, settlement.seen)
if state == 'completed' then
  redis.call('SET', output_of(id), body)
  add_bytes(id, job.caller, #body)
  -- Only a job that has not completed can run again. Operators still see a short request.
  local length = redis.call('STRLEN', input_of(id))
  if not job.keep and length > MOST_KEPT_REQUEST then
    add_bytes(id, job.caller, -length)
    -- A list of jobs shows the first words, without a character that is cut.
    local first = redis.call('GETRANGE', input_of(id), 0, MOST_WORDS):gsub('[\192-\255][\128-\191]*$', '')
    redis.call('HSET', record_of(id), 'words', first)
    redis.call('DEL', input_of(id))
  end
else
  redis.call('HSET', record_of(id), 'error', body)
end
-- An answer without one of its servers, or with a cut tool result, is not cached.
local is_whole = settlement.absent == '' and not string.find(settlement.seen, '"truncated": [', 1, true)
if state == 'completed' and is_whole and job.fp and tonumber(job.ttl) > 0 then
  redis.call('HSET', cache_of(job.fp), 'job', id, 'cost', settlement.saves_usd)
  redis.call('EXPIRE', cache_of(job.fp), job.ttl)
  redis.call('ZREMRANGEBYSCORE', CACHED, '-inf', whole(time))
  redis.call('ZADD', CACHED, whole(time + job.ttl * 1000), job.fp)
end
if state == 'completed' and settlement.session_id ~= '' then
  local keep_s = settlement.keep_session_s
  add_session_bytes(job.caller, settlement.session_id, session_bytes, time + keep_s * 1000)
  local workspace = settlement.outputs ~= '' and cjson.decode(settlement.outputs).workspace
  keep_workspace(job.caller, settlement.session_id, workspace ~= cjson.null and workspace, keep_s)
end
return 1
