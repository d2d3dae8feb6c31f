-- Heal jobs whose slot is gone: those whose lease ended, or those of one slot that is known to be dead.
-- ARGV  1 how many at most  2 workers that a job may lose  3 attempts in all  4 ms to keep one that ends
--       5 its error, JSON  6 name of a dead slot, or ''
-- Returns {id, what, id, what, …} with what: requeued or lost.
local healed, time = {}, now()
local gone = {}
if ARGV[6] == '' then
  gone = redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', whole(time), 'LIMIT', 0, ARGV[1])
else
  for _, id in ipairs(redis.call('ZRANGE', ACTIVE, 0, -1)) do
    if redis.call('HGET', record_of(id), 'slot') == ARGV[6] then gone[#gone + 1] = id end
  end
end
for _, id in ipairs(gone) do
  local job = read(id, 'caller', 'state', 'prio', 'seq', 'n', 'lost', 'fp', 'progress')
  redis.call('ZREM', ACTIVE, id)
  if job.state == 'waiting' or job.state == 'active' then
    -- Whatever was handed out is void. A job that was popped and never claimed has not lost a worker.
    leave_slot(id)
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
    local over = lost >= tonumber(ARGV[2]) or attempts >= tonumber(ARGV[3])
    if over then
      end_job(id, job, 'failed', time, tonumber(ARGV[4]), 'worker_lost')
      redis.call('HSET', record_of(id), 'error', ARGV[5])
    else
      if job.state == 'active' then count('retries:worker_lost') end
      change_state(id, job.caller, job.seq, job.state, 'waiting')
      wait_in_line(id, job.prio, job.seq)
      if job.state == 'active' then say_state(id, 'waiting', job.progress) end
    end
    healed[#healed + 1] = id
    healed[#healed + 1] = over and 'lost' or 'requeued'
  end
end
return healed
