-- Look at a batch, all of it at one moment.
-- ARGV  1 batch id  2 caller  3 whether one whose time is over is seen too: 1 or 0
-- Returns {waiting, active, delayed, field, value, …} with the fields of its record, or nothing when the caller has none.
local fields = redis.call('HGETALL', batch_of(ARGV[1]))
local record, time = {}, now()
for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end
if record.caller ~= ARGV[2] then return nil end
if ARGV[3] == '0' and tonumber(record.expires or time + 1) <= time then return nil end
local counts = {waiting = 0, active = 0, delayed = 0}
if tonumber(record.left) > 0 then
  for _, id in ipairs(jobs_in(ARGV[1], 0, -1)) do
    local state = redis.call('HGET', record_of(id), 'state')
    if state and counts[state] then counts[state] = counts[state] + 1 end
  end
end
return {counts.waiting, counts.active, counts.delayed, unpack(fields)}
