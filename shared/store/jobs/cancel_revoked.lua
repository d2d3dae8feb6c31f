-- Cancel some of the jobs of callers whose keys are revoked: cancelling all in one script would block Redis for too long.
-- ARGV  1 how many jobs at most  2 ms to keep them
-- Returns 1 when there may be more, else 0.
local left, keep_ms, time = tonumber(ARGV[1]), tonumber(ARGV[2]), now()
for _, caller in ipairs(redis.call('SRANDMEMBER', REVOKING, 100)) do
  -- What runs costs money: it ends first.
  for _, state in ipairs({'active', 'waiting', 'delayed'}) do
    local ids = left > 0 and redis.call('ZRANGE', jobs_of(caller, state), 0, left - 1) or {}
    for _, id in ipairs(ids) do
      local job = read(id, 'caller', 'state', 'n', 'seq', 'fp', 'finished')
      if job.caller and not job.finished then
        cancel_job(id, job, time, keep_ms)
      else
        redis.call('ZREM', jobs_of(caller, state), id)
      end
    end
    left = left - #ids
  end
  if left <= 0 then return 1 end
  redis.call('SREM', REVOKING, caller)
end
return redis.call('EXISTS', REVOKING)
