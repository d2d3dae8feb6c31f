-- Read a batch and the states of its jobs at one moment.
-- ARGV
--   batch_id
--   caller
--   expired   '1' to read also a batch whose time is over, else '0'
-- Returns {waiting, active, delayed, paused, field, value, …} with the fields of its record, or nothing when the caller has no
-- such batch.
local id, caller, expired = ARGV[1], ARGV[2], ARGV[3]
local fields = redis.call('HGETALL', batch_of(id))
local record, time = {}, now()
for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end
if record.caller ~= caller then return nil end
if expired == '0' and tonumber(record.expires or time + 1) <= time then return nil end
local counts = {waiting = 0, active = 0, delayed = 0, paused = 0}
if tonumber(record.left) > 0 then
  for _, job_id in ipairs(jobs_in(id, 0, -1)) do
    local state = redis.call('HGET', record_of(job_id), 'state')
    if state and counts[state] then counts[state] = counts[state] + 1 end
  end
end
return {counts.waiting, counts.active, counts.delayed, counts.paused, unpack(fields)}
