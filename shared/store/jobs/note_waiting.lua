-- Note why a running job waits for Claude, publish its retries, and hold the queue for as long as Claude asks.
-- ARGV  1 JSON: jobId number holdMs
--         waiting  {"code","since","retryAt"} in ms as JSON text, '' when the job does not wait
--         retries  {"code","delayMs","attempt"} as JSON texts, in their order
-- Returns 1 while the claim holds, else 0.
local told = cjson.decode(ARGV[1])
local id = told.jobId
note_upstream(told.holdMs > 0 and 'limited' or '', 'rate_limited', told.holdMs, now())
local job = read(id, 'state', 'n')
if job.state ~= 'active' or tonumber(job.n) ~= told.number then return 0 end
if told.waiting ~= '' then
  redis.call('HSET', record_of(id), 'waiting', told.waiting)
else
  redis.call('HDEL', record_of(id), 'waiting')
end
for _, retry in ipairs(told.retries) do say(id, 'retry', retry) end
return 1
