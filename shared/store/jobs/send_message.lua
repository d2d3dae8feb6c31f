-- Send a message to a running job. This is the compare-and-set against the end of its run: a run that has closed its
-- messages has taken all of them.
-- ARGV
--   job_id
--   caller
--   message  id of the message, and of its step
--   step     the step, JSON
--   text
--   most     messages that a job takes
-- Returns 'sent', 'missing' when the caller has no such job, 'not_running', or 'full' when it has that many messages.
local id, caller, message, step, text, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local job = read(id, 'caller', 'state', 'n', 'closed', 'fp', 'expires')
if job.caller ~= caller or tonumber(job.expires or now() + 1) <= now() then return 'missing' end
if job.state ~= 'active' or job.closed == job.n then return 'not_running' end
if redis.call('LLEN', messages_of(id)) >= most then return 'full' end
redis.call('RPUSH', messages_of(id), message .. '\n' .. step .. '\n' .. text)
add_bytes(id, caller, #text + #step + add_step(id, message, step))
if job.fp then
  -- The answer is no longer that of the query alone: it is neither cached nor joined.
  if redis.call('GET', flight_of(job.fp)) == id then redis.call('DEL', flight_of(job.fp)) end
  redis.call('HDEL', record_of(id), 'fp', 'ttl')
end
redis.call('PUBLISH', STEERED, id)
return 'sent'
