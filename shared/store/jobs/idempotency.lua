-- Put before the scripts that answer an Idempotency-Key: the record of its first answer. It stands by itself: whatever
-- becomes of the job, the same key and body get the same answer.

-- Return the first answer under the key of `ask` as {body, kind, req, job, at, result}; nil when there is none.
local function recall(ask)
  if ask.idempotency == '' then return nil end
  local first = redis.call('HMGET', ask.idempotency, 'body', 'kind', 'req', 'job', 'at')
  local found = {body = first[1], kind = first[2], req = first[3], job = first[4], at = first[5], result = ''}
  if not (found.kind and found.job and found.at) then return nil end
  if found.kind == 'cached' then
    found.result = redis.call('GET', kept_of(found.job))
    if not found.result then return nil end
  end
  return found
end

-- Record the first answer under the key of `ask`. `id` is the job, or the batch. Until it ends the record stays, see
-- expire_keys; a cached answer has ended, and brings the `result` that it repeats.
local function remember(ask, kind, id, time, result)
  if ask.idempotency == '' then return end
  redis.call('HSET', ask.idempotency, 'body', ask.body, 'kind', kind, 'req', ask.requestId, 'job', id, 'at', whole(time))
  if not result then
    redis.call('EXPIRE', ask.idempotency, KEPT_DAYS)
    redis.call('SADD', keys_of(id), ask.idempotency)
    return
  end
  redis.call('PEXPIRE', ask.idempotency, DAY)
  -- One copy for all keys: it can be large, and a job's result never changes.
  if redis.call('PEXPIRE', kept_of(id), DAY) == 0 then redis.call('SET', kept_of(id), result, 'PX', DAY) end
end
