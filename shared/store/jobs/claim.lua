-- Claim a job: succeeds once for each n, and only while the record expects that n.
-- ARGV  1 job id  2 n  3 slot  4 lease ms  5 USD that a caller may spend a day, 0 for any
--       6 the id that the deployment gets if it has none
-- Returns {request JSON, attempts, ms left on the clock, requestId, caller, USD that its attempts cost so far, deployment},
-- or nil when the claim is void.
local id = ARGV[1]
local job = read(id, 'state', 'n', 'slot', 'started', 'timeout', 'attempts', 'progress', 'caller', 'seq',
  'created', 'req', 'taken', 'cost', 'paid')
local time = now()
local started = job.started or job.taken or time
if job.n ~= ARGV[2] then return nil end
if is_revoked(job.caller) then return nil end -- popped before the revocation: `cancel_revoked.lua` ends it
local budget = tonumber(ARGV[5])
if job.state == 'waiting' and not job.started and budget > 0
  and tonumber(redis.call('HGET', spend_of(job.caller, day_of(time)), 'cost') or 0) >= budget then
  -- It was accepted before the budget was used up: it runs when there is another. One that has begun goes on: its clock
  -- runs.
  redis.call('ZREM', ACTIVE, id)
  change_state(id, job.caller, job.seq, 'waiting', 'delayed')
  redis.call('HSET', record_of(id), 'n', job.n + 1)
  redis.call('ZADD', DELAYED, whole(time - time % DAY + DAY), id)
  say_state(id, 'delayed', job.progress)
  return nil
end
if job.state == 'waiting' then
  local progress = math.max(10, tonumber(job.progress))
  change_state(id, job.caller, job.seq, 'waiting', 'active', 'slot', ARGV[3], 'started', whole(started),
    'begun', whole(time), 'progress', progress)
  -- What an earlier claim told of the answer is not true any more.
  if redis.call('HDEL', record_of(id), 'said') == 1 then say(id, 'reset', '') end
  say_state(id, 'active', progress)
  redis.call('HSET', RUNNING, ARGV[3], id)
  if not job.started then observe('queue_wait', started - job.created) end
elseif job.state ~= 'active' or job.slot ~= ARGV[3] then
  return nil -- not ours; ours already means that the reply to this very claim was lost
end
redis.call('ZREM', WAITING, id)
redis.call('ZADD', ACTIVE, whole(time + ARGV[4]), id)
local deployment = redis.call('GET', DEPLOYMENT)
if not deployment then
  deployment = ARGV[6]
  redis.call('SET', DEPLOYMENT, deployment)
end
return {redis.call('GET', input_of(id)), tonumber(job.attempts), job.timeout - (time - started), job.req,
  job.caller, tostring((job.cost or 0) - (job.paid or 0)), deployment}
