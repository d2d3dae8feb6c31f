-- Move a running job's progress, never down, and lengthen its lease.
-- KEYS  1 record  2 active
-- ARGV  1 job id  2 n  3 progress  4 lease ms
-- Returns 1 while the claim holds, else 0: the run is to be given up.
local record = redis.call('HMGET', KEYS[1], 'state', 'n', 'progress')
if record[1] ~= 'active' or record[2] ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) > tonumber(record[3]) then redis.call('HSET', KEYS[1], 'progress', ARGV[3]) end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4]), ARGV[1])
return 1
