-- Delete finished jobs whose time is over: every key and every index entry of a job in one step. A job that the cache still
-- answers with, or that has a pending webhook, becomes invisible and is deleted later.
-- ARGV
--   most  how many jobs, and how many batches, at most
-- Returns how many jobs were deleted.
local most = tonumber(ARGV[1])
local time, forgotten = now(), 0

local function has_pending_webhook(id)
  for _, name in ipairs(redis.call('SMEMBERS', hooks_of(id))) do
    if redis.call('HGET', hook_of(name), 'state') == 'pending' then return true end
  end
  return false
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', EXPIRES, '-inf', whole(time), 'LIMIT', 0, most)) do
  local job = read(id, 'caller', 'state', 'fp')
  if job.caller then
    redis.call('ZREM', jobs_of(job.caller, job.state), id)
    redis.call('ZREM', all_of(job.state), id)
  end
  local later = 0
  if job.fp and redis.call('HGET', cache_of(job.fp), 'job') == id then later = redis.call('PTTL', cache_of(job.fp)) end
  if has_pending_webhook(id) then later = math.max(later, 60000) end
  if later > 0 then
    redis.call('ZADD', EXPIRES, whole(time + later), id)
  else
    forget(id, job)
    forgotten = forgotten + 1
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', BATCHES_EXPIRE, '-inf', whole(time), 'LIMIT', 0, most)) do
  redis.call('ZREM', batches_of(redis.call('HGET', batch_of(id), 'caller') or ''), id)
  redis.call('ZREM', ALL_BATCHES, id)
  if has_pending_webhook(id) then
    redis.call('ZADD', BATCHES_EXPIRE, whole(time + 60000), id)
  else
    forget_hooks(id)
    redis.call('DEL', batch_of(id), batch_jobs_of(id), keys_of(id))
    redis.call('ZREM', BATCHES_EXPIRE, id)
  end
end
forget_session_bytes(time, most)
return forgotten
