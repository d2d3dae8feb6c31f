-- Read the first answer under an Idempotency-Key, and do nothing else.
-- ARGV  1 JSON: requestId idempotency body, as in submit.lua
-- Returns {kind, requestId, jobId, result JSON or '', 1 if replayed, ms since the epoch of the first answer} with kind:
-- queued duplicate cached | mismatch; or nothing when there is none.
local ask = cjson.decode(ARGV[1])
local first = recall(ask)
if not first then return nil end
if first.body ~= ask.body then return {'mismatch', '', '', '', 0, 0} end
return {first.kind, first.req, first.job, first.result, first.req == ask.requestId and 0 or 1, tonumber(first.at)}
