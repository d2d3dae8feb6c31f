-- Put held jobs back into the queue whose callers may run more, as after a limit was raised or a job was cancelled.
-- ARGV
--   most               how many callers are looked at, and how many jobs are put into the queue, at most
--   caller_max_active  jobs that a caller may run at once, 0 for any number
-- Returns how many were put into the queue.
local most, caller_max_active = tonumber(ARGV[1]), ARGV[2]
local released = 0
-- By caller, so that the many held jobs of one do not hide those of another.
for _, caller in ipairs(redis.call('SRANDMEMBER', HOLDING, most)) do
  local room = room_to_run(caller, caller_max_active, policy_of(caller))
  while room > 0 and released < most and release_held(caller) do
    room, released = room - 1, released + 1
  end
  if redis.call('EXISTS', held_of(caller)) == 0 then redis.call('SREM', HOLDING, caller) end
end
return released
