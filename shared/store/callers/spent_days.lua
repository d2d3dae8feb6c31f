-- Read what a caller spent on the last days, today among them; by Redis's clock and in UTC.
-- ARGV
--   caller  '' for all callers together
--   days    how many days
-- Returns {today, day, {field, value, …}, day, {…}, …}, the latest first; days are counted from the epoch, and those
-- without anything are left out.
local caller, days = ARGV[1], ARGV[2]
local today = math.floor(now() / DAY)
local found = {today}
for day = today, today - days + 1, -1 do
  local fields = redis.call('HGETALL', spend_of(caller, whole(day)))
  if #fields > 0 then
    found[#found + 1] = day
    found[#found + 1] = fields
  end
end
return found
