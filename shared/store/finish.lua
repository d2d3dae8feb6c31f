-- End a job, once: everything that its end changes is written here, under its claim.
-- KEYS  1 record  2 outcome  3 active  4 expires
-- ARGV  1 job id  2 n  3 state: completed or failed  4 outcome JSON  5 s to keep it
-- Returns 1 when this claim ended the job (also when it is told so again), else 0.
local record = redis.call('HMGET', KEYS[1], 'state', 'n')
if record[2] ~= ARGV[2] then return 0 end
if record[1] == ARGV[3] then return 1 end
if record[1] ~= 'active' then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = string.format('%.0f', now + ARGV[5] * 1000)
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'progress', 100, 'finished', string.format('%.0f', now),
  'expires', expires)
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('SET', KEYS[2], ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[4], expires, ARGV[1])
return 1
