-- Claim a job. A claim number succeeds once, and only while the record expects that number.
-- ARGV
--   job_id
--   number            claim number
--   slot              the slot that claims
--   instead_of        the dead slot whose finished run this one ends, or ''
--   lease_ms          ms until the lease ends
--   daily_budget_usd  what a caller may spend a day, 0 for any sum
--   caller_max_active  jobs that a caller may run at once, 0 for any number
--   new_deployment    the id that the deployment gets if it has none
--   new_spool_key     the secret that its spool gets if it has none
-- Returns {request JSON, attempts, ms left on the clock, request id, caller, cost of the earlier attempts in USD, deployment,
-- the entry of the credential that the job runs on, JSON, or '' when it has none or none any more, whose credential it is, the
-- secret of the spool, and of a job that goes on after a pause the call, what its run needs and the decision, JSON, and the
-- claim number of the run that has begun the call, '' each for another job, the trace context or '', how often the job has run
-- to its end before, ms of its beginning, ms since when it has waited or 0 when it runs already, ms of the claim, and ms of the
-- pause that this claim ends or 0}, or nil when the claim is void.
local id, number, slot, instead_of, lease_ms, daily_budget_usd, caller_max_active, new_deployment, new_spool_key =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9]
local job = read(id, 'state', 'n', 'slot', 'started', 'timeout', 'attempts', 'progress', 'caller', 'seq',
  'created', 'req', 'taken', 'cost', 'paid', 'cred', 'prio', 'tag', 'budget', 'runat',
  'trace', 'round', 'since', 'pause', 'resume', 'decision', 'called', 'stopped', 'stood', 'waiting', PIECE)
local time = now()
local started = job.started or job.taken or time
local since, paused = 0, 0
if job.n ~= number then return nil end
if is_revoked(job.caller) then return nil end -- popped before the revocation: `cancel_revoked.lua` ends it
local policy = policy_of(job.caller)
daily_budget_usd = policy.dailyBudgetUsd or daily_budget_usd
if job.state == 'waiting' and not job.started and daily_budget_usd > 0
  and tonumber(redis.call('HGET', spend_of(job.caller, day_of(time)), 'cost') or 0) >= daily_budget_usd then
  -- The job was accepted before the budget was spent, and runs on the next day. A job that has begun continues, because its
  -- clock runs.
  redis.call('ZREM', ACTIVE, id)
  change_state(id, job.caller, job.seq, 'waiting', 'delayed')
  redis.call('HSET', record_of(id), 'n', job.n + 1)
  redis.call('HDEL', record_of(id), 'tag') -- it has not run: the next day it is behind jobs that wait then
  local due = whole(time - time % DAY + DAY)
  redis.call('HSET', record_of(id), 'due', due)
  redis.call('ZADD', DELAYED, due, id)
  publish_state(id, 'delayed', job.progress)
  return nil
end
if job.state == 'waiting' and room_to_run(job.caller, caller_max_active, policy) <= 0 then
  -- Another slot has claimed a job of the caller since this one was popped.
  redis.call('ZREM', ACTIVE, id)
  redis.call('HSET', record_of(id), 'n', job.n + 1)
  hold(id, job.caller, score_of(job.prio, job.tag or 0))
  return nil
end
if daily_budget_usd > 0 then
  redis.call('HSET', record_of(id), 'budget', daily_budget_usd)
elseif job.budget then
  redis.call('HDEL', record_of(id), 'budget')
end
local stood = time_stood(job.stood, job.stopped, time)
if job.state == 'waiting' then
  paused = tonumber(job.stopped or 0)
  since = tonumber(job.since) or math.max(job.created, job.runat or 0)
  if stood > 0 then redis.call('HSET', record_of(id), 'stood', whole(stood)) end
  local progress = math.max(10, tonumber(job.progress))
  change_state(id, job.caller, job.seq, 'waiting', 'active', 'slot', slot, 'started', whole(started), 'begun', whole(time),
    'progress', progress)
  if job.stopped or job.waiting or job[PIECE] then redis.call('HDEL', record_of(id), 'stopped', 'waiting', PIECE) end
  -- Text that an earlier claim has published is not part of this answer.
  if job[PIECE] then publish(id, 'reset', '') end
  publish_state(id, 'active', progress)
  redis.call('HSET', RUNNING, slot, id)
  if not job.started then
    local waited = started - math.max(job.created, job.runat or 0)
    observe('queue_wait', waited, job.trace)
    observe_over_time('wait', waited)
  end
elseif job.state == 'active' and instead_of ~= '' and job.slot == instead_of then
  leave_slot(id)
  release_pending(id)
  redis.call('HSET', record_of(id), 'slot', slot)
  redis.call('HSET', RUNNING, slot, id)
elseif job.state ~= 'active' or job.slot ~= slot then
  return nil -- another slot has it; this slot has it already when the reply to this very claim was lost
end
redis.call('ZREM', WAITING, id)
redis.call('ZREM', PLAIN, id)
redis.call('ZADD', ACTIVE, whole(time + lease_ms), id)
local deployment, spool_key = unpack(redis.call('MGET', DEPLOYMENT, SPOOL_KEY))
if not deployment then
  deployment = new_deployment
  redis.call('SET', DEPLOYMENT, deployment)
end
if not spool_key then
  spool_key = new_spool_key
  redis.call('SET', SPOOL_KEY, spool_key)
end
local credential, owner = '', ''
if job.cred then credential, owner = use_credential(job.caller, job.cred) end
return {redis.call('GET', input_of(id)), tonumber(job.attempts), job.timeout - (time - started - stood), job.req,
  job.caller, tostring((job.cost or 0) - (job.paid or 0)), deployment, credential, owner, spool_key,
  job.pause or '', job.resume or '', job.decision or '', job.called or '',
  job.trace or '', tonumber(job.round or 0), tonumber(job.round and started or job.created), since, time, paused}
