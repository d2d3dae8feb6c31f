-- Accept one job, whole or not at all. May be sent twice: a job that exists already was accepted.
-- KEYS  1 record  2 request  3 waiting  4 sequence  5 wake list  6 index of the caller's jobs
-- ARGV  1 job id  2 request id  3 caller  4 priority 0..2  5 timeout ms  6 most that may wait
--       7 request JSON  8 metadata JSON or ''  9 most tokens on the wake list
-- Returns 1 when accepted, 0 when too many wait.
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[6]) then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seq = redis.call('INCR', KEYS[4])

redis.call('HSET', KEYS[1], 'v', 1, 'caller', ARGV[3], 'req', ARGV[2], 'state', 'waiting', 'prio', ARGV[4],
  'seq', seq, 'n', 1, 'attempts', 0, 'progress', 0, 'timeout', ARGV[5], 'created', string.format('%.0f', now))
if ARGV[8] ~= '' then redis.call('HSET', KEYS[1], 'meta', ARGV[8]) end
redis.call('SET', KEYS[2], ARGV[7])
redis.call('ZADD', KEYS[3], string.format('%.0f', ARGV[4] * 2 ^ 50 + seq), ARGV[1])
redis.call('ZADD', KEYS[6], string.format('%.0f', now), ARGV[1])
redis.call('LPUSH', KEYS[5], 1)
redis.call('LTRIM', KEYS[5], 0, ARGV[9] - 1)
return 1
