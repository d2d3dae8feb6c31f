-- Queue the deliveries of a job's end again, due now and with the whole schedule.
-- ARGV
--   job_id
--   caller
--   request_id  a submission, or '' for all with a webhook
-- Returns {'missing'}, {'running'}, {'none'} without a webhook, or {'queued', request, …}.
local id, caller, request_id = ARGV[1], ARGV[2], ARGV[3]
local job = read(id, 'caller', 'state', 'expires')
local time = now()
if job.caller ~= caller or tonumber(job.expires or time + 1) <= time then return {'missing'} end
if not job.expires then return {'running'} end
local queued = {'queued'}
local requests = redis.call('SMEMBERS', hooks_of(id))
if #requests == 0 then return {'none'} end
for _, request in ipairs(requests) do
  local hook = redis.call('HMGET', hook_of(request), 'state', 'host', 'leased', 'req', 'event')
  local is_end = hook[1] ~= 'superseded' and hook[5] ~= 'query.action_required'
  if is_end and (request_id == '' or request_id == hook[4]) then
    requeue_delivery(request, hook[1], caller, hook[2], hook[3], time)
    queued[#queued + 1] = hook[4]
  end
end
if #queued == 1 then return {'missing'} end
redis.call('PUBLISH', WEBHOOK_DUE, '')
return queued
