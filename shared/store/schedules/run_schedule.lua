-- Carry out a due time of a schedule, or a run by hand: make its job, or record why there is none. A due time is carried out
-- once, however often it is sent and by however many workers.
-- ARGV
--   run         JSON:
--     schedule_id
--     caller
--     revision    of the schedule that was read
--     due         ms of the due time that the schedule waits for, 0 for a run by hand
--     latest      ms of the last due time that has come: the one that runs
--     next        ms of the next due time, 0 for none
--     is_missed   whether `latest` is missed too
--     code        error code of a refusal that was found before, '' for none
--     detail      its text
--   submission  as in submit.lua, JSON
--   limits      as in submit.lua, JSON
--   request     what the worker reads, JSON
--   metadata    the caller's metadata, JSON, or ''
-- Returns {kind, request id, job id, submissions left, ms until all are left or until the next may come} with kind: queued,
-- replayed, skipped, missed, refused, or changed when the schedule has changed, is paused or gone, or the due time is done. A
-- refusal of submit.lua changes nothing: the caller sends it again as a refusal to record.
local run, submission, limits, request, metadata =
  cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), ARGV[4], ARGV[5]
local id, caller, time = run.schedule_id, run.caller, now()
local by_hand, refused = run.due == 0, run.code ~= ''
local record = schedule_of(id)
local known = redis.call('HMGET', record, 'caller', 'rev', 'next', 'paused', 'overlap', 'last')
local job_id, request_id = submission.job_id, submission.request_id
if is_revoked(caller) then return {'revoked', '', '', -1, 0} end
if job_id and redis.call('EXISTS', record_of(job_id)) == 1 then return {'queued', request_id, job_id, -1, 0} end
if known[1] ~= caller or tonumber(known[2]) ~= run.revision then return {'changed', '', '', -1, 0} end
if by_hand then
  local first = recall(submission)
  if first and first.body ~= submission.body then return {'mismatch', '', '', -1, 0} end
  if first then return {'replayed', first.req, first.job, -1, 0} end
elseif tonumber(known[3]) ~= run.due then
  return {'changed', '', '', -1, 0}
end

-- Record the due times that are done, and wait for the next.
local function finish(kind, entry)
  if not by_hand then
    if run.latest > run.due then add_schedule_run(id, caller, {state = 'missed', due = run.due, at = time}) end
    redis.call('HSET', record, 'next', whole(run.next))
    if run.next > 0 then redis.call('ZADD', SCHEDULES_DUE, whole(run.next), id) else redis.call('ZREM', SCHEDULES_DUE, id) end
    entry.due = run.latest
  end
  entry.at = time
  add_schedule_run(id, caller, entry)
  count('schedules:' .. kind)
  if kind == 'refused' then count_schedule_failure(id, run.code) end
  return {kind, request_id or '', job_id or '', -1, 0}
end

if run.is_missed then return finish('missed', {state = 'missed'}) end
local last = not by_hand and known[5] == 'skip' and known[6] or ''
local is_running = last ~= '' and redis.call('HEXISTS', record_of(last), 'state') == 1
  and redis.call('HEXISTS', record_of(last), 'finished') == 0
if is_running then return finish('skipped', {state = 'skipped', job = last}) end
if refused then return finish('refused', {state = 'refused', code = run.code, detail = run.detail}) end

local limited, left, reset = over_rate(caller, limits, time)
if limited then return {'limited', '', '', left, reset} end
local why, place = bind_credentials(submission)
if why then return {why, '', place, left, reset} end
why, place = bind_files(submission, time)
if why then return {why, '', whole(place), left, reset} end
if submission.sandbox and lacks_sandbox(time) then return {'no_sandbox', '', '', left, reset} end
why, reset = over_limits(caller, limits, 1, #request + #metadata + #(submission.trace or ''), time, reset)
if why then return {why, '', '', left, reset} end
-- One job of the schedule at a time, as those that continue one session. No session's id has a dot.
if known[5] == 'queue' and not submission.session_id then submission.session_id = 'schedule.' .. id end
accept(submission, request, metadata, time)
redis.call('HSET', record_of(job_id), 'schedule', id)
redis.call('ZADD', schedule_jobs_of(id), redis.call('HGET', record_of(job_id), 'seq'), job_id)
redis.call('HSET', record, 'last', job_id)
if by_hand then remember(submission, 'queued', job_id, time) end
local done = finish('queued', {state = 'waiting', job = job_id})
done[4], done[5] = left, reset
return done
