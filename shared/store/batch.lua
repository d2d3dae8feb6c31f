-- Accept a batch, whole or not at all. May be sent twice: what was done is told again and not done again.
-- ARGV  1 JSON: batchId requestId caller maxWaiting idempotency body rate window hook host budget, as in submit.lua;
--         meta     the caller's metadata, JSON, '' for none
--       then four for each query: what submit.lua is given, and a name of the caller's own for it, '' for none
-- Returns {kind, batchId, left, ms until all are left again} with kind: queued replayed | full mismatch limited broke revoked.
local ask = cjson.decode(ARGV[1])
local time, id = now(), ask.batchId
local total = (#ARGV - 1) / 4
if is_revoked(ask.caller) then return {'revoked', '', -1, 0} end -- as in submit.lua
if redis.call('EXISTS', batch_of(id)) == 1 then return {'queued', id, -1, 0} end

if ask.idempotency ~= '' then
  local first = redis.call('HMGET', ask.idempotency, 'body', 'batch')
  -- One whose time is over is gone, also while its webhook keeps it.
  local batch = first[2] and redis.call('HMGET', batch_of(first[2]), 'v', 'expires') or {}
  if batch[1] and tonumber(batch[2] or time + 1) > time then
    return {first[1] == ask.body and 'replayed' or 'mismatch', first[2], -1, 0}
  end
end
local limited, left, reset = over_rate(ask, time)
if limited then return {'limited', '', left, reset} end
local refused
refused, reset = no_room(ask, total, time, reset)
if refused then return {refused, '', left, reset} end

redis.call('HSET', batch_of(id), 'v', 1, 'caller', ask.caller, 'req', ask.requestId, 'created', whole(time), 'total', total,
  'left', total, 'completed', 0, 'failed', 0, 'cancelled', 0)
if ask.hook ~= '' then redis.call('HSET', batch_of(id), 'hook', ask.hook, 'host', ask.host) end
if ask.meta ~= '' then redis.call('HSET', batch_of(id), 'meta', ask.meta) end
redis.call('ZADD', batches_of(ask.caller), redis.call('INCR', SEQUENCE), id)
for i = 2, #ARGV, 4 do
  local one = cjson.decode(ARGV[i])
  accept(one, ARGV[i + 1], ARGV[i + 2], time)
  redis.call('HSET', record_of(one.jobId), 'batch', id)
  redis.call('RPUSH', batch_jobs_of(id), one.jobId .. ' ' .. ARGV[i + 3])
end
if ask.idempotency ~= '' then
  redis.call('HSET', ask.idempotency, 'body', ask.body, 'batch', id)
  redis.call('EXPIRE', ask.idempotency, 86400)
end
return {'queued', id, left, reset}
