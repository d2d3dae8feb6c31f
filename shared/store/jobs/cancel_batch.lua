-- Cancel some of a batch's jobs: cancelling all in one script would block Redis for too long.
-- ARGV
--   batch_id
--   caller
--   keep_ms  ms for which the jobs stay readable
--   first    position of the first job, from 0
--   most     how many jobs
-- Returns 'missing' when the caller has no such batch, else how many jobs come after these.
local id, caller, keep_ms, first, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = now()
local batch = redis.call('HMGET', batch_of(id), 'caller', 'expires', 'finished')
if batch[1] ~= caller or tonumber(batch[2] or time + 1) <= time then return 'missing' end
if batch[3] then return 0 end
redis.call('HSETNX', batch_of(id), 'cancelling', whole(time))
for _, one in ipairs(jobs_in(id, first, first + most - 1)) do
  local job = read(one, 'caller', 'state', 'n', 'seq', 'fp', 'finished')
  if job.caller and not job.finished then cancel_job(one, job, time, keep_ms) end
end
return math.max(0, redis.call('LLEN', batch_jobs_of(id)) - first - most)
