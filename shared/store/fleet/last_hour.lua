-- Read how many jobs ended in each of the last sixty minutes, this one among them.
-- ARGV: none
-- Returns {number of the minute since the epoch, completed, failed, cancelled, …}, the oldest first.
local this, found = math.floor(now() / 60000), {}
for minute = this - 59, this do
  local ended = redis.call('HMGET', minute_of(minute), 'completed', 'failed', 'cancelled')
  found[#found + 1] = minute
  for i = 1, 3 do found[#found + 1] = tonumber(ended[i] or 0) end
end
return found
