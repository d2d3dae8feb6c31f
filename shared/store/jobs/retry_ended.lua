-- Let a failed or cancelled job run again, with its whole clock and all its attempts; or put a delayed job into the queue now.
-- ARGV
--   job_id
-- Returns 'waiting', 'missing', 'running' when it has not ended, 'completed' when it was a success, or 'revoked' when its
-- caller's key is revoked.
local id = ARGV[1]
local job = read(id, 'caller', 'state', 'prio', 'seq', 'n', 'fp', 'round', 'expires', SESSION, 'batch', 'schedule')
local time = now()
if not job.caller or tonumber(job.expires or time + 1) <= time then return 'missing' end
if job.state == 'completed' then return 'completed' end
if is_revoked(job.caller) then return 'revoked' end
if job.state == 'delayed' then
  -- Not a wait that the metrics should count from an earlier time.
  if redis.call('HEXISTS', record_of(id), 'runat') == 1 then redis.call('HSET', record_of(id), 'runat', whole(time)) end
  end_delay(id)
  return 'waiting'
end
if job.state ~= 'failed' and job.state ~= 'cancelled' then return 'running' end
-- Withdraw the webhooks of the end that is undone.
local function supersede_webhooks(of)
  for _, name in ipairs(redis.call('SMEMBERS', hooks_of(of))) do
    local hook = redis.call('HMGET', hook_of(name), 'state', 'host')
    if hook[1] == 'pending' then count('webhooks_pending', -1) end
    redis.call('HSET', hook_of(name), 'state', 'superseded')
    redis.call('ZREM', due_of(job.caller, hook[2]), name)
    due_by_its_first(job.caller, hook[2])
  end
end
supersede_webhooks(id)
if job.batch and redis.call('EXISTS', batch_of(job.batch)) == 1 then
  redis.call('HINCRBY', batch_of(job.batch), job.state, -1)
  redis.call('HDEL', batch_of(job.batch), 'cancelling') -- an earlier cancellation is done
  if redis.call('HINCRBY', batch_of(job.batch), 'left', 1) == 1 then
    supersede_webhooks(job.batch)
    redis.call('HDEL', batch_of(job.batch), 'finished', 'expires')
    expire_keys(job.batch)
    redis.call('HINCRBY', batch_of(job.batch), 'round', 1)
    redis.call('ZREM', BATCHES_EXPIRE, job.batch)
    for _, one in ipairs(jobs_in(job.batch, 0, -1)) do keep_for_batch(one, time) end
  end
end
change_state(id, job.caller, job.seq, job.state, 'waiting')
redis.call('HDEL', record_of(id), 'error', 'started', 'finished', 'expires', 'slot', 'lost', 'absent', 'tried',
  'ask', 'decisions', 'pauses', 'stood', 'stopped', 'steps', 'closed')
redis.call('HSET', record_of(id), 'n', job.n + 1, 'attempts', 0, 'progress', 0, 'round', (job.round or 0) + 1)
redis.call('HSET', record_of(id), 'paid', redis.call('HGET', record_of(id), 'cost') or 0)
redis.call('ZREM', EXPIRES, id)
hold_files_again(id)
expire_keys(id)
if job.fp and redis.call('EXISTS', flight_of(job.fp)) == 0 then redis.call('SET', flight_of(job.fp), id) end
enqueue_or_park(id, job.caller, job[SESSION], job.prio, job.seq)
-- Subscribers get the events and the steps of the new round only.
redis.call('DEL', events_of(id), steps_of(id), messages_of(id))
forget_outputs(id)
local held = redis.call('HMGET', record_of(id), 'bytes', 'meta', 'lasting', 'trace')
if held[1] then
  local texts = #(held[2] or '') + #(held[4] or '')
  add_bytes(id, job.caller, redis.call('STRLEN', input_of(id)) + texts + (held[3] or 0) - held[1])
end
if job.schedule then note_schedule_run(id, job.schedule) end
publish(id, 'reset', '')
publish_state(id, 'waiting', 0)
return 'waiting'
