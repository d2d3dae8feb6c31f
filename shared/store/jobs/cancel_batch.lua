-- Cancel some of a batch's jobs: all in one step would keep others from Redis for too long.
-- ARGV  1 batch id  2 caller  3 ms to keep them  4 the first, from 0  5 how many
-- Returns 'missing' when the caller has no such batch, else how many jobs come after these.
local id, time = ARGV[1], now()
local batch = redis.call('HMGET', batch_of(id), 'caller', 'expires', 'finished')
if batch[1] ~= ARGV[2] or tonumber(batch[2] or time + 1) <= time then return 'missing' end
if batch[3] then return 0 end
redis.call('HSETNX', batch_of(id), 'cancelling', whole(time))
for _, one in ipairs(jobs_in(id, ARGV[4], ARGV[4] + ARGV[5] - 1)) do
  local job = read(one, 'caller', 'state', 'n', 'seq', 'fp', 'finished')
  if job.caller and not job.finished then cancel_job(one, job, time, tonumber(ARGV[3])) end
end
return math.max(0, redis.call('LLEN', batch_jobs_of(id)) - ARGV[4] - ARGV[5])
