-- Read what metrics and the dashboard show of the deployment as a whole.
-- ARGV: none
-- Returns {counters, http, {state, count, …}, {live slot, job or '', …}, ms of the oldest waiting job or -1}, where the
-- first two are flat lists of name and value.
local time = now()
local jobs = {}
for _, state in ipairs({'waiting', 'active', 'delayed', 'completed', 'failed', 'cancelled'}) do
  jobs[#jobs + 1] = state
  jobs[#jobs + 1] = redis.call('ZCARD', all_of(state))
end
local slots = {}
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', SLOTS, whole(math.floor(time / 1000)), '+inf')) do
  slots[#slots + 1] = slot
  slots[#slots + 1] = redis.call('HGET', RUNNING, slot) or ''
end
-- Within a priority the first is the oldest.
local oldest = -1
for priority = 0, 2 do
  local from = whole(priority * 2 ^ 50)
  local first = redis.call('ZRANGEBYSCORE', WAITING, from, '(' .. whole((priority + 1) * 2 ^ 50), 'LIMIT', 0, 1)[1]
  local created = first and redis.call('HGET', record_of(first), 'created')
  if created then oldest = math.max(oldest, time - created) end
end
return {redis.call('HGETALL', COUNTERS), redis.call('HGETALL', HTTP), jobs, slots, oldest}
