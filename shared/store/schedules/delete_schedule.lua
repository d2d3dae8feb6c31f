-- Delete a schedule. Its jobs stay.
-- ARGV
--   schedule_id
--   caller
-- Returns 1, or 0 when the caller has no such schedule.
local schedule_id, caller = ARGV[1], ARGV[2]
if redis.call('HGET', schedule_of(schedule_id), 'caller') ~= caller then return 0 end
forget_schedule(schedule_id)
return 1
