-- Note why a running job waits for Claude, publish its retries, and hold the queue for as long as Claude asks.
-- ARGV
--   note  JSON:
--     job_id
--     number   claim number
--     hold_ms  ms for which Claude accepts no request
--     waiting  why the job waits, JSON: code, since and retryAt in ms; '' when it does not wait
--     retries  the retries since the last call, each as JSON: code, delayMs, attempt
-- Returns 1 while the claim holds, else 0.
local note = cjson.decode(ARGV[1])
local id = note.job_id
note_upstream(note.hold_ms > 0 and 'limited' or '', 'rate_limited', note.hold_ms, now())
local job = read(id, 'state', 'n')
if job.state ~= 'active' or tonumber(job.n) ~= note.number then return 0 end
if note.waiting ~= '' then
  redis.call('HSET', record_of(id), 'waiting', note.waiting)
else
  redis.call('HDEL', record_of(id), 'waiting')
end
for _, retry in ipairs(note.retries) do
  publish(id, 'retry', retry)
  count('upstream:' .. cjson.decode(retry).code)
end
return 1
