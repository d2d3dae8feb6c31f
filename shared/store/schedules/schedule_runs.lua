-- Part of every script, after the state transitions: the runs of schedules. A schedule keeps its last ones, the newest
-- first, as JSON: due (ms, absent for a run by hand), at, state, and job, started, finished, cost, code and detail as far as
-- it has them.
local MOST_RUNS, RUN_BYTES, MOST_FAILURES = 100, 256, 10

local function add_schedule_run(id, caller, run)
  if redis.call('LPUSH', schedule_runs_of(id), cjson.encode(run)) <= MOST_RUNS then
    redis.call('HINCRBY', schedule_of(id), 'bytes', RUN_BYTES)
    add_to_caller(caller, RUN_BYTES)
  end
  redis.call('LTRIM', schedule_runs_of(id), 0, MOST_RUNS - 1)
end

-- Rare: copy into a run what is known of its job, which is deleted earlier than the run.
local function note_schedule_run(job_id, id)
  local job = redis.call('HMGET', record_of(job_id), 'state', 'started', 'finished', 'cost')
  for place, text in ipairs(redis.call('LRANGE', schedule_runs_of(id), 0, MOST_RUNS - 1)) do
    if string.find(text, job_id, 1, true) then
      local run = cjson.decode(text)
      if run.job == job_id and run.state ~= 'skipped' then
        run.state = job[1]
        run.started, run.finished, run.cost = tonumber(job[2] or nil), tonumber(job[3] or nil), tonumber(job[4] or nil)
        redis.call('LSET', schedule_runs_of(id), place - 1, cjson.encode(run))
        return
      end
    end
  end
end

local function pause_schedule(id, reason)
  redis.call('HSET', schedule_of(id), 'paused', reason, 'next', 0)
  redis.call('HINCRBY', schedule_of(id), 'rev', 1)
  redis.call('ZREM', SCHEDULES_DUE, id)
end

-- Count a failed run: too many in a row pause the schedule, and its webhook says so. `code` is that of the failure.
local function count_schedule_failure(id, code)
  local failures = redis.call('HINCRBY', schedule_of(id), 'failures', 1)
  local known = redis.call('HMGET', schedule_of(id), 'caller', 'name', 'paused', 'hook', 'host')
  if failures < MOST_FAILURES or (known[3] or '') ~= '' then return end
  pause_schedule(id, 'failures')
  local data = cjson.encode({schedule = id, name = known[2], failures = failures, code = code})
  local name = 'schedule.' .. id .. '.' .. whole(now())
  add_webhook('', known[1], name, '', known[4], known[5], data, 'schedule.paused', now())
end

-- Rare: note the end of a run's job. A cancelled job is neither a failure nor a success.
local function end_schedule_run(job_id, id, to, code)
  if redis.call('EXISTS', schedule_of(id)) == 0 then return end
  note_schedule_run(job_id, id)
  if to == 'failed' then count_schedule_failure(id, code) end
  if to == 'completed' then redis.call('HSET', schedule_of(id), 'failures', 0) end
end

-- Delete a schedule. The list of its jobs ends with the last of them.
local function forget_schedule(id)
  local known = redis.call('HMGET', schedule_of(id), 'caller', 'bytes')
  redis.call('ZREM', SCHEDULES_DUE, id)
  redis.call('ZREM', ALL_SCHEDULES, id)
  if not known[1] then return end
  redis.call('ZREM', schedules_of(known[1]), id)
  add_to_caller(known[1], -(known[2] or 0))
  redis.call('DEL', schedule_of(id), schedule_runs_of(id))
end
