-- Read what was counted in the last minutes or hours, the present one among them.
-- ARGV
--   unit    'minute' or 'hour'
--   points  how many
-- Returns {number of the unit since the epoch, {field, count, …}, …}, the oldest first.
local unit, points = ARGV[1], tonumber(ARGV[2])
local name_of, length = minute_of, 60000
if unit == 'hour' then name_of, length = hour_of, HOUR end
local this, found = math.floor(now() / length), {}
for number = this - points + 1, this do
  found[#found + 1] = number
  found[#found + 1] = redis.call('HGETALL', name_of(number))
end
return found
