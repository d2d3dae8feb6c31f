-- Read what metrics and the dashboard show of the deployment as a whole.
-- ARGV: none
-- Returns {counters, http, {state, count, …}, {live slot, job or '', …}, ms of the oldest waiting job or -1, now,
-- {worker's JSON, …}, exemplars, 1 if paused, 1 if rate limited, code of a refusal that holds the queue or '', held jobs,
-- bytes of all files}, where the first two and the exemplars are flat lists of name and value.
local time = now()
local jobs = {}
for _, state in ipairs({'waiting', 'active', 'delayed', 'paused', 'completed', 'failed', 'cancelled'}) do
  jobs[#jobs + 1] = state
  jobs[#jobs + 1] = redis.call('ZCARD', all_of(state))
end
local slots = {}
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', SLOTS, whole(math.floor(time / 1000)), '+inf')) do
  slots[#slots + 1] = slot
  slots[#slots + 1] = redis.call('HGET', RUNNING, slot) or ''
end
-- The first in the order of arrival that is in the queue: it may be neither parked nor popped. A job that was not to start
-- before a time has waited since that time, and a later one may have waited longer.
local oldest = -1
for _, id in ipairs(redis.call('ZRANGE', all_of('waiting'), 0, 99)) do
  if redis.call('ZSCORE', WAITING, id) then
    local since = redis.call('HMGET', record_of(id), 'created', 'runat')
    oldest = math.max(oldest, time - math.max(since[1] or time, since[2] or 0))
    if not since[2] then break end
  end
end
local refusal = redis.call('HMGET', UPSTREAM, 'since', 'code')
local file_bytes = 0
for _, bytes in ipairs(redis.call('HVALS', FILE_BYTES)) do file_bytes = file_bytes + bytes end
return {redis.call('HGETALL', COUNTERS), redis.call('HGETALL', HTTP), jobs, slots, oldest, time,
  redis.call('HVALS', WORKERS), redis.call('HGETALL', EXEMPLARS), redis.call('EXISTS', PAUSED),
  redis.call('EXISTS', NOT_BEFORE), refusal[1] and refusal[2] or '', redis.call('ZCARD', HELD), file_bytes}
