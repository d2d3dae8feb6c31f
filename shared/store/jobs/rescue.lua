-- Give back jobs whose slot is gone: those whose lease has ended, or those of one dead slot.
-- ARGV
--   most           how many jobs at most, by lease
--   may_lose       lost workers after which a job fails
--   most_attempts  attempts after which a job fails
--   keep_ms        ms for which a failed job stays readable
--   failure        error of a failed job, JSON
--   slot           name of the dead slot, or ''
-- Returns {id, what, id, what, …} with what: requeued or lost.
local most, may_lose, most_attempts, keep_ms, failure, slot =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local rescued, time = {}, now()
local gone = {}
if slot == '' then
  gone = redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', whole(time), 'LIMIT', 0, most)
else
  for _, id in ipairs(redis.call('ZRANGE', ACTIVE, 0, -1)) do
    if redis.call('HGET', record_of(id), 'slot') == slot then gone[#gone + 1] = id end
  end
end
for _, id in ipairs(gone) do
  local job = read(id, 'caller', 'state', 'prio', 'seq', 'n', 'lost', 'fp', 'progress', 'tag')
  redis.call('ZREM', ACTIVE, id)
  if job.state == 'waiting' or job.state == 'active' then
    -- The last claim becomes void. A job that was popped and never claimed has not lost a worker.
    leave_slot(id)
    release_pending(id)
    count_so_far(id, job.caller, job.n)
    redis.call('HSET', record_of(id), 'n', job.n + 1)
    redis.call('HDEL', record_of(id), 'slot')
    count('stalled')
    local lost, attempts = 0, 0
    if job.state == 'active' then
      lost = redis.call('HINCRBY', record_of(id), 'lost', 1)
      attempts = redis.call('HINCRBY', record_of(id), 'attempts', 1)
      note_attempt(id, time, 'worker_lost', 1, '')
    end
    local over = lost >= may_lose or attempts >= most_attempts
    if over then
      end_job(id, job, 'failed', time, keep_ms, 'worker_lost')
      redis.call('HSET', record_of(id), 'error', failure)
    else
      if job.state == 'active' then count('retries:worker_lost') end
      change_state(id, job.caller, job.seq, job.state, 'waiting')
      enqueue(id, job.caller, job.prio, job.tag)
      if job.state == 'active' then publish_state(id, 'waiting', job.progress) end
    end
    rescued[#rescued + 1] = id
    rescued[#rescued + 1] = over and 'lost' or 'requeued'
  end
end
return rescued
