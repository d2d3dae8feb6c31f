-- Cancel some jobs of callers whose keys are revoked, and delete their schedules: doing all in one script would block Redis for
-- too long.
-- ARGV
--   most     how many jobs at most
--   keep_ms  ms for which the jobs stay readable
-- Returns 1 when there may be more, else 0.
local most, keep_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local left, time = most, now()
for _, caller in ipairs(redis.call('SRANDMEMBER', REVOKING, 100)) do
  -- Running jobs cost money: they end first.
  for _, state in ipairs({'active', 'waiting', 'delayed', 'paused'}) do
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
  local made = left > 0 and redis.call('ZRANGE', schedules_of(caller), 0, left - 1) or {}
  for _, id in ipairs(made) do forget_schedule(id) end
  left = left - #made
  if left <= 0 then return 1 end
  redis.call('SREM', REVOKING, caller)
end
return redis.call('EXISTS', REVOKING)
