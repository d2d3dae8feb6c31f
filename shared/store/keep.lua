-- Move a running job's progress, never down, and lengthen its lease.
-- ARGV  1 job id  2 n  3 progress  4 lease ms
-- Returns 1 while the claim holds, else 0: the run is to be given up.
local job = read(ARGV[1], 'state', 'n', 'progress')
if job.state ~= 'active' or job.n ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) > tonumber(job.progress) then redis.call('HSET', record_of(ARGV[1]), 'progress', ARGV[3]) end
redis.call('ZADD', ACTIVE, whole(now() + ARGV[4]), ARGV[1])
return 1
