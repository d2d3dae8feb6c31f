-- Put held jobs back into the queue whose callers may run more, as after a limit was raised.
-- ARGV
--   most               how many jobs are looked at
--   caller_max_active  jobs that a caller may run at once, 0 for any number
-- Returns how many were put into the queue.
local most, caller_max_active = tonumber(ARGV[1]), ARGV[2]
local released, done = 0, {}
for _, id in ipairs(redis.call('ZRANGE', HELD, 0, most - 1)) do
  local caller = redis.call('HGET', record_of(id), 'caller')
  if not caller then
    redis.call('ZREM', HELD, id)
  elseif not done[caller] and not is_busy(caller, caller_max_active) then
    released = released + (release_held(caller) and 1 or 0)
  else
    done[caller] = true
  end
end
return released
