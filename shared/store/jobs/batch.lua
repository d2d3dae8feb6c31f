-- Accept a batch, whole or not at all. May be sent twice: what was done is told again and not done again.
-- ARGV  1 JSON: batchId requestId caller maxWaiting idempotency body rate window hook host budget, as in submit.lua;
--         meta     the caller's metadata, JSON, '' for none
--       then four for each query: what submit.lua is given, and a name of the caller's own for it, '' for none
-- Returns {kind, batchId, requestId, ms since the epoch of the first answer, left, ms until all are left again} with kind:
-- queued replayed | full mismatch limited broke revoked no_credential; for no_credential, the place of the first query whose
-- credential is missing stands for the time, from 0.
local ask = cjson.decode(ARGV[1])
local time, id = now(), ask.batchId
local total = (#ARGV - 1) / 4
if is_revoked(ask.caller) then return {'revoked', '', '', 0, -1, 0} end -- as in submit.lua
local created = redis.call('HGET', batch_of(id), 'created')
if created then return {'queued', id, ask.requestId, tonumber(created), -1, 0} end

local first = recall(ask)
if first and first.body ~= ask.body then return {'mismatch', '', '', 0, -1, 0} end
if first then return {'replayed', first.job, first.req, tonumber(first.at), -1, 0} end
local limited, left, reset = over_rate(ask, time)
if limited then return {'limited', '', '', 0, left, reset} end
local refused
refused, reset = no_room(ask, total, time, reset)
if refused then return {refused, '', '', 0, left, reset} end
local queries = {}
for i = 2, #ARGV, 4 do
  local one = cjson.decode(ARGV[i])
  if not bind_credential(one) then return {'no_credential', '', '', #queries, left, reset} end
  queries[#queries + 1] = one
end

redis.call('HSET', batch_of(id), 'v', 1, 'caller', ask.caller, 'req', ask.requestId, 'created', whole(time), 'total', total,
  'left', total, 'completed', 0, 'failed', 0, 'cancelled', 0)
if ask.hook ~= '' then redis.call('HSET', batch_of(id), 'hook', ask.hook, 'host', ask.host) end
if ask.meta ~= '' then redis.call('HSET', batch_of(id), 'meta', ask.meta) end
redis.call('ZADD', batches_of(ask.caller), redis.call('INCR', SEQUENCE), id)
for number, one in ipairs(queries) do
  local i = number * 4 - 2
  accept(one, ARGV[i + 1], ARGV[i + 2], time)
  redis.call('HSET', record_of(one.jobId), 'batch', id)
  redis.call('RPUSH', batch_jobs_of(id), one.jobId .. ' ' .. ARGV[i + 3])
end
remember(ask, 'queued', id, time)
return {'queued', id, ask.requestId, time, left, reset}
