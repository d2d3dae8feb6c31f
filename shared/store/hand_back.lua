-- Give a running job back to the front of its priority, for the next claim; it has not used an attempt.
-- KEYS  1 record  2 active  3 waiting  4 wake list
-- ARGV  1 job id  2 n
-- Returns 1 when it waits again, else 0.
local record = redis.call('HMGET', KEYS[1], 'state', 'n', 'prio', 'seq')
if record[1] ~= 'active' or record[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'state', 'waiting', 'n', record[2] + 1)
redis.call('HDEL', KEYS[1], 'slot')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], string.format('%.0f', record[3] * 2 ^ 50 + record[4]), ARGV[1])
redis.call('LPUSH', KEYS[4], 1)
return 1
