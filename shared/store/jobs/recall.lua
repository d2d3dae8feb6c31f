-- Read the first answer under an Idempotency-Key, and change nothing.
-- ARGV
--   entry  JSON:
--     request_id   the submission that asks
--     idempotency  name of the key's record
--     body         hash of the normalized body
-- Returns {kind, request id, job id, result JSON or '', 1 if replayed, ms since the epoch of the first answer}, or nothing when
-- there is none. The kind is queued, duplicate, cached or mismatch.
local entry = cjson.decode(ARGV[1])
local first = recall(entry)
if not first then return nil end
if first.body ~= entry.body then return {'mismatch', '', '', '', 0, 0} end
return {first.kind, first.req, first.job, first.result, first.req == entry.request_id and 0 or 1, tonumber(first.at)}
