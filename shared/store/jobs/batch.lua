-- Accept a batch, whole or not at all. May be sent twice: the second call returns the same answer and changes nothing.
-- ARGV
--   batch    JSON: what the client asks for
--     batch_id
--     request_id
--     caller
--     idempotency   name of the key's record, '' without a key
--     body          hash of the normalized body
--     webhook_url   '' for no webhook
--     webhook_host  host of the URL
--     metadata      the caller's metadata, JSON, or ''
--     trace         trace context of the request, '' for none
--   limits   JSON: the limits of the deployment
--     max_waiting         as in submit.lua
--     caller_max_waiting?
--     caller_max_bytes?
--     rate?
--     window_ms?
--     daily_budget_usd?
--   queries ...  four for each query: submission, request and metadata as in submit.lua, and the caller's own name for
--             the query, or ''
-- Returns {kind, batch id, request id, ms since the epoch of the first answer, submissions left, ms until all are left again}.
-- The kind is queued or replayed, or a refusal as in submit.lua; for those of credentials and of files, the place of the first
-- refused query, from 0, stands for the time, and that of the file, or the name of the credential, for the batch id.
local batch, limits, queries = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), rest(ARGV, 3)
local time, id, caller, total = now(), batch.batch_id, batch.caller, #queries / 4
if is_revoked(caller) then return {'revoked', '', '', 0, -1, 0} end -- as in submit.lua
local created = redis.call('HGET', batch_of(id), 'created')
if created then return {'queued', id, batch.request_id, tonumber(created), -1, 0} end

local first = recall(batch)
if first and first.body ~= batch.body then return {'mismatch', '', '', 0, -1, 0} end
if first then return {'replayed', first.job, first.req, tonumber(first.at), -1, 0} end
local limited, left, reset = over_rate(caller, limits, time)
if limited then return {'limited', '', '', 0, left, reset} end
for i = 1, #queries, 4 do
  if cjson.decode(queries[i]).sandbox and lacks_sandbox(time) then return {'no_sandbox', '', '', 0, left, reset} end
end
local own_bytes, bytes = #batch.metadata + #batch.webhook_url + #batch.trace, 0
for i = 1, #queries, 4 do
  own_bytes = own_bytes + #queries[i + 3]
  bytes = bytes + #queries[i + 1] + #queries[i + 2] + #batch.trace
end
local refused
refused, reset = over_limits(caller, limits, total, own_bytes + bytes, time, reset)
if refused then return {refused, '', '', 0, left, reset} end
local submissions = {}
for i = 1, #queries, 4 do
  local submission = cjson.decode(queries[i])
  local lacks, credential = bind_credentials(submission)
  if lacks then return {lacks, credential, '', #submissions, left, reset} end
  local why, place = bind_files(submission, time)
  if why then return {why, whole(place), '', #submissions, left, reset} end
  submissions[#submissions + 1] = submission
end

redis.call('HSET', batch_of(id), 'v', 1, 'caller', caller, 'req', batch.request_id, 'created', whole(time), 'total', total,
  'left', total, 'completed', 0, 'failed', 0, 'cancelled', 0)
if batch.webhook_url ~= '' then
  redis.call('HSET', batch_of(id), 'hook', batch.webhook_url, 'host', batch.webhook_host)
end
if batch.metadata ~= '' then redis.call('HSET', batch_of(id), 'meta', batch.metadata) end
if batch.trace ~= '' then redis.call('HSET', batch_of(id), 'trace', batch.trace) end
local seq = redis.call('INCR', SEQUENCE)
redis.call('ZADD', batches_of(caller), seq, id)
redis.call('ZADD', ALL_BATCHES, seq, id)
for number, submission in ipairs(submissions) do
  local i = number * 4 - 3
  accept(submission, queries[i + 1], queries[i + 2], time)
  redis.call('HSET', record_of(submission.job_id), 'batch', id)
  redis.call('RPUSH', batch_jobs_of(id), submission.job_id .. ' ' .. queries[i + 3])
end
add_lasting_bytes(submissions[1].job_id, caller, own_bytes)
remember(batch, 'queued', id, time)
return {'queued', id, batch.request_id, time, left, reset}
