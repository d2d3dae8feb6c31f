-- Forget finished jobs whose time is over: every key of them and every index goes in one step.
-- ARGV  1 how many at most
-- Returns how many were forgotten.
local ids = redis.call('ZRANGEBYSCORE', EXPIRES, '-inf', whole(now()), 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  local job = read(id, 'caller', 'state')
  if job.caller then redis.call('ZREM', jobs_of(job.caller, job.state), id) end
  redis.call('DEL', record_of(id), input_of(id), output_of(id), joined_of(id))
  redis.call('ZREM', EXPIRES, id)
end
return #ids
