-- Change the priority of a job that has not ended.
-- ARGV
--   job_id
--   priority  0 high, 1 normal, 2 low
-- Returns 'done', 'missing' or 'finished'.
local id, priority = ARGV[1], ARGV[2]
local job = read(id, 'state', 'seq', 'finished')
if not job.state then return 'missing' end
if job.finished then return 'finished' end
redis.call('HSET', record_of(id), 'prio', priority)
if redis.call('ZSCORE', WAITING, id) then enqueue(id, priority, job.seq) end
return 'done'
