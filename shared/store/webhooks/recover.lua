-- Redeliver the events of ended jobs, or of batches, that no attempt delivered. Reads the latest first, since what ends
-- meanwhile comes before what is left.
-- ARGV
--   ended  'jobs' or 'batches'
--   start  how many were read before
--   most   how many are read
--   since  ms; earlier events stay as they are
--   host   only deliveries to this host, or '' for all
-- Returns {deliveries that are queued again, jobs or batches that were read}.
local ended, start, most, since, host =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local time, queued = now(), 0
local ids = redis.call('ZREVRANGE', ended == 'jobs' and EXPIRES or BATCHES_EXPIRE, start, start + most - 1)
for _, id in ipairs(ids) do
  for _, name in ipairs(redis.call('SMEMBERS', hooks_of(id))) do
    local hook = redis.call('HMGET', hook_of(name), 'state', 'host', 'leased', 'at', 'caller', 'tries')
    -- One that is pending after a failed attempt may be due in hours.
    local failed = hook[1] == 'abandoned' or hook[1] == 'paused' or (hook[1] == 'pending' and tonumber(hook[6]) > 0)
    if failed and tonumber(hook[4] or 0) >= since and (host == '' or hook[2] == host) then
      requeue_delivery(name, hook[1], hook[5], hook[2], hook[3], time)
      redis.call('DEL', host_of(hook[2]))
      redis.call('SREM', FAILING_HOSTS, hook[2])
      queued = queued + 1
    end
  end
end
if queued > 0 then redis.call('PUBLISH', WEBHOOK_DUE, '') end
return {queued, #ids}
