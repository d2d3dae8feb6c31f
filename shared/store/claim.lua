-- Claim a job: succeeds once for each n, and only while the record expects that n.
-- KEYS  1 record  2 request  3 active
-- ARGV  1 job id  2 n  3 slot  4 lease ms
-- Returns {request JSON, attempts, ms left on the clock}, or nil when the claim is void.
local record = redis.call('HMGET', KEYS[1], 'state', 'n', 'slot', 'started', 'timeout', 'attempts')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = string.format('%.0f', now)

if record[2] ~= ARGV[2] then return nil end
if record[1] == 'waiting' then
  redis.call('HSET', KEYS[1], 'state', 'active', 'slot', ARGV[3], 'started', record[4] or text)
  if tonumber(redis.call('HGET', KEYS[1], 'progress')) < 10 then redis.call('HSET', KEYS[1], 'progress', 10) end
elseif record[1] ~= 'active' or record[3] ~= ARGV[3] then
  return nil -- not ours; ours already means that the reply to this very claim was lost
end
redis.call('ZADD', KEYS[3], string.format('%.0f', now + ARGV[4]), ARGV[1])
return {redis.call('GET', KEYS[2]), tonumber(record[6]), record[5] - (now - (record[4] or now))}
