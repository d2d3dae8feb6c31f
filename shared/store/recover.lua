-- Heal jobs whose lease ended: the slot that had them, or its host, is gone.
-- ARGV  1 how many at most  2 workers that a job may lose  3 ms to keep one that ends  4 its error, JSON
-- Returns {id, what, id, what, …} with what: requeued or lost.
local healed, time = {}, now()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', whole(time), 'LIMIT', 0, ARGV[1])) do
  local job = read(id, 'caller', 'state', 'prio', 'seq', 'n', 'lost', 'fp')
  redis.call('ZREM', ACTIVE, id)
  if job.state == 'waiting' or job.state == 'active' then
    -- Whatever was handed out is void. A job that was popped and never claimed has not lost a worker.
    redis.call('HSET', record_of(id), 'n', job.n + 1)
    redis.call('HDEL', record_of(id), 'slot')
    redis.call('HINCRBY', COUNTERS, 'stalled', 1)
    local lost = 0
    if job.state == 'active' then
      lost = redis.call('HINCRBY', record_of(id), 'lost', 1)
      redis.call('HINCRBY', record_of(id), 'attempts', 1)
    end
    if lost >= tonumber(ARGV[2]) then
      end_job(id, job, 'failed', time, tonumber(ARGV[3]))
      redis.call('HSET', record_of(id), 'error', ARGV[4])
    else
      change_state(id, job.caller, job.seq, job.state, 'waiting')
      wait_in_line(id, job.prio, job.seq)
    end
    healed[#healed + 1] = id
    healed[#healed + 1] = lost >= tonumber(ARGV[2]) and 'lost' or 'requeued'
  end
end
return healed
