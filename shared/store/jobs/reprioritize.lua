-- Give a job that has not ended another priority.
-- ARGV  1 job id  2 priority: 0 high, 1 normal, 2 low
-- Returns 'done', 'missing' or 'finished'.
local id = ARGV[1]
local job = read(id, 'state', 'seq', 'finished')
if not job.state then return 'missing' end
if job.finished then return 'finished' end
redis.call('HSET', record_of(id), 'prio', ARGV[2])
if redis.call('ZSCORE', WAITING, id) then wait_in_line(id, ARGV[2], job.seq) end
return 'done'
