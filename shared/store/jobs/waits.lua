-- Read what a job that has not ended may wait for.
-- ARGV
--   job_id
-- Returns JSON; an empty object when there is no such job. Times in ms since the epoch.
local id = ARGV[1]
local job = read(id, 'caller', 'state', 'due', 'runat', 'attempts', 'tried', SESSION)
if not job.caller then return '{}' end
local time = now()
local function number(value) return value and tonumber(value) or nil end
local refusals = redis.call('HMGET', UPSTREAM, 'refused', 'code', 'since')
local is_refused = tonumber(refusals[1] or 0) >= HELD_AFTER
local limit = redis.call('GET', NOT_BEFORE)
local session = job[SESSION]
local policy = policy_of(job.caller)
local entry = redis.call('HGET', CALLER_KEYS, job.caller)
return cjson.encode({
  now = time,
  state = job.state,
  due = number(job.due),
  run_at = number(job.runat),
  attempts = number(job.attempts),
  last_code = job.tried and job.tried:match('[^\n]*$'):match('^%S+ %S+ (%S+)'),
  session = session,
  parked = redis.call('ZSCORE', PARKED, id) and true or false,
  turn = session and redis.call('LINDEX', turns_of(job.caller, session), 0) or nil,
  turns_ahead = session and redis.call('LPOS', turns_of(job.caller, session), id) or nil,
  held = redis.call('ZSCORE', HELD, id) and true or false,
  ahead = redis.call('ZRANK', WAITING, id) or nil,
  waiting = redis.call('ZCARD', WAITING),
  caller = job.caller,
  caller_name = entry and cjson.decode(cjson.decode(entry).caller).name or nil,
  caller_waiting = redis.call('ZCARD', jobs_of(job.caller, 'waiting')),
  caller_active = redis.call('ZCARD', jobs_of(job.caller, 'active')),
  weight = policy.weight or 1,
  spent_usd = number(redis.call('HGET', spend_of(job.caller, day_of(time)), 'cost')) or 0,
  budget_usd = policy.dailyBudgetUsd,
  slots = redis.call('ZCOUNT', SLOTS, string.format('%.3f', time / 1000), '+inf'),
  busy = redis.call('ZCARD', ACTIVE),
  paused = redis.call('GET', PAUSED) or nil,
  refused = is_refused and refusals[2] or nil,
  refused_since = is_refused and number(refusals[3]) or nil,
  limited = limit and limit:match('^%S+') or nil,
  limited_until = limit and time + redis.call('PTTL', NOT_BEFORE) or nil,
})
