-- Lease due schedules to one worker: until the lease ends, no other looks at them. Two workers that do make one job all the same.
-- ARGV
--   most      how many
--   lease_ms  ms until the leases end
-- Returns {now, ms until the next is due or -1, {id, field, value, …}, …}.
local most, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = now()
local due = {time, -1}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', SCHEDULES_DUE, '-inf', whole(time), 'LIMIT', 0, most)) do
  local record = redis.call('HGETALL', schedule_of(id))
  if #record > 0 then
    redis.call('ZADD', SCHEDULES_DUE, whole(time + lease_ms), id)
    due[#due + 1] = {id, unpack(record)}
  else
    redis.call('ZREM', SCHEDULES_DUE, id)
  end
end
local upcoming = redis.call('ZRANGE', SCHEDULES_DUE, 0, 0, 'WITHSCORES')
if upcoming[2] then due[2] = math.max(0, upcoming[2] - time) end
return due
