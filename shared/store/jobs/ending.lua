-- Part of every script, after the runs of schedules: the end of a job.

-- Rare: delete what was kept of a job's runs for the time after its pauses. A pause that the job's end ends is kept as one.
local function forget_pauses(id, caller, to)
  local record = redis.call('HMGET', record_of(id), 'paused', 'kept', 'req', 'ask', 'token')
  if record[5] then keep_pause(id, caller, now(), to == 'failed' and 'expired' or 'cancelled', '') end
  local transcript, workspace = paused_transcript_of(id, record[1]), workspace_of(caller, pause_of(id))
  for _, subpath in ipairs(redis.call('SMEMBERS', transcript .. ':subs')) do
    redis.call('DEL', transcript .. '/' .. subpath, transcript .. '/' .. subpath .. ':ids')
  end
  redis.call('DEL', transcript, transcript .. ':ids', transcript .. ':subs')
  local file = redis.call('GET', workspace)
  if file then
    leave_workspace(file)
    redis.call('DEL', workspace)
  end
  redis.call('ZREM', AWAITING, id)
  withdraw_webhook(caller, hook_name(record[3], record[4]))
  add_bytes(id, caller, -(record[2] or 0))
  redis.call('HDEL', record_of(id), 'paused', 'kept', 'pause', 'resume', 'token', 'until', 'late', 'decision', 'called')
end

-- End a job: state, times, lists, counters, webhooks and subscribers. `code` is the error code of a failure. The first
-- write frees memory, so that a full store, which accepts no new job, can still end those that it has.
local function end_job(id, job, to, time, keep_ms, code)
  redis.call('ZREM', ACTIVE, id)
  if job.state ~= 'active' then
    leave_queue(id, job.caller)
    redis.call('ZREM', DELAYED, id)
    redis.call('ZREM', PARKED, id)
  end
  change_state(id, job.caller, job.seq, job.state, to, 'progress', 100, 'finished', whole(time),
    'expires', whole(time + keep_ms))
  redis.call('ZADD', EXPIRES, whole(time + keep_ms), id)
  redis.call('HDEL', record_of(id), PIECE, 'spent')
  add_bytes(id, job.caller, ENDED_JOB)
  add_to_day(job.caller, 'jobs', 1)
  add_usage(job.caller, label_of(id), '', {jobs = 1})
  if job.fp and redis.call('GET', flight_of(job.fp)) == id then redis.call('DEL', flight_of(job.fp)) end
  leave_slot(id)
  if job.state == 'paused' then count('decisions:' .. (to == 'cancelled' and to or 'expired')) end
  count(to == 'failed' and 'failed:' .. code or to)
  count_over_time(to == 'failed' and 'failed:' .. code or to)
  local started, session, batch, schedule, trace, stood, stopped, paused = unpack(redis.call('HMGET', record_of(id), 'started',
    SESSION, 'batch', 'schedule', 'trace', 'stood', 'stopped', 'paused'))
  if started and to ~= 'cancelled' then
    local took = time - started - time_stood(stood, stopped, time)
    observe('execution', took, trace)
    observe_over_time('run', took)
  end
  if paused then forget_pauses(id, job.caller, to) end
  if session then
    redis.call('LREM', turns_of(job.caller, session), 0, id)
    enqueue_next_turn(job.caller, session)
  end
  expire_keys(id, time)
  add_webhooks(id, job.caller, to, time)
  if batch then end_in_batch(batch, id, to, time, keep_ms) end
  if schedule then end_schedule_run(id, schedule, to, code) end
  publish(id, 'done', '')
end

-- Cancel a job that has not ended: its running claim, and a claim on its way to a slot, become void.
local function cancel_job(id, job, time, keep_ms)
  count_so_far(id, job.caller, job.n)
  end_job(id, job, 'cancelled', time, keep_ms)
  redis.call('HSET', record_of(id), 'n', job.n + 1)
  redis.call('PUBLISH', CANCELLED, id)
end
