-- Part of the scripts that use Idempotency-Key: the record of the first answer under a key. It is independent of the job:
-- the same key and body get the same answer whatever happens to the job. `entry` is a submission or a batch; without a key its
-- `idempotency` is '' or nil.

local function is_given(key) return (key or '') ~= '' end

-- Return the first answer under the key of `entry` as {body, kind, req, job, at, result}; nil when there is none.
local function recall(entry)
  if not is_given(entry.idempotency) then return nil end
  local first = redis.call('HMGET', entry.idempotency, 'body', 'kind', 'req', 'job', 'at')
  local found = {body = first[1], kind = first[2], req = first[3], job = first[4], at = first[5], result = ''}
  if not (found.kind and found.job and found.at) then return nil end
  if found.kind == 'cached' then
    found.result = redis.call('GET', kept_of(found.job))
    if not found.result then return nil end
  end
  return found
end

-- Return the bytes of the record of a cached answer: those of the copy of its result, if there is none yet, and 256 for itself.
local function record_bytes(entry, id, result)
  if not is_given(entry.idempotency) then return 0 end
  return 256 + (redis.call('EXISTS', kept_of(id)) == 0 and #result or 0)
end

-- Record the first answer under the key of `entry`. `id` is the job, or the batch. The record stays until that has ended, see
-- expire_keys. A cached answer has ended already: its record keeps a copy of the `result`.
local function remember(entry, kind, id, time, result)
  local key = entry.idempotency
  if not is_given(key) then return end
  redis.call('HSET', key, 'body', entry.body, 'kind', kind, 'req', entry.request_id, 'job', id, 'at', whole(time))
  if not result then
    redis.call('EXPIRE', key, KEPT_DAYS)
    redis.call('SADD', keys_of(id), key)
    return
  end
  redis.call('PEXPIRE', key, DAY)
  add_bytes_for_a_day(entry.caller, record_bytes(entry, id, result), time)
  -- One copy for all keys: it can be large, and a job's result never changes.
  if redis.call('PEXPIRE', kept_of(id), DAY) == 0 then redis.call('SET', kept_of(id), result, 'PX', DAY) end
end
