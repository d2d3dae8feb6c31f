-- Part of every script, after the state transitions: the runs of schedules. A schedule keeps its last ones, the newest
-- first, as JSON: due (ms, absent for a run by hand), at, state, and job, started, finished, cost, code and detail as far as
-- it has them.
local MOST_RUNS, RUN_BYTES, MOST_FAILURES = 100, 256, 10

function schedules.add_run(id, caller, run)
  if redis.call('LPUSH', schedules.runs(id), cjson.encode(run)) <= MOST_RUNS then
    redis.call('HINCRBY', schedules.record(id), 'bytes', RUN_BYTES)
    add_to_caller(caller, RUN_BYTES)
  end
  redis.call('LTRIM', schedules.runs(id), 0, MOST_RUNS - 1)
end

-- Copy into a run what is known of its job, which is deleted earlier than the run.
function schedules.note_run(job_id, id)
  local job = redis.call('HMGET', record_of(job_id), 'state', 'started', 'finished', 'cost')
  for place, text in ipairs(redis.call('LRANGE', schedules.runs(id), 0, MOST_RUNS - 1)) do
    if string.find(text, job_id, 1, true) then
      local run = cjson.decode(text)
      if run.job == job_id and run.state ~= 'skipped' then
        run.state = job[1]
        run.started, run.finished, run.cost = tonumber(job[2] or nil), tonumber(job[3] or nil), tonumber(job[4] or nil)
        redis.call('LSET', schedules.runs(id), place - 1, cjson.encode(run))
        return
      end
    end
  end
end

function schedules.pause(id, reason)
  redis.call('HSET', schedules.record(id), 'paused', reason, 'next', 0)
  redis.call('HINCRBY', schedules.record(id), 'rev', 1)
  redis.call('ZREM', schedules.DUE, id)
end

-- Count a failed run: too many in a row pause the schedule, and its webhook says so. `code` is that of the failure.
function schedules.count_failure(id, code)
  local failures = redis.call('HINCRBY', schedules.record(id), 'failures', 1)
  local known = redis.call('HMGET', schedules.record(id), 'caller', 'name', 'paused', 'hook', 'host')
  if failures < MOST_FAILURES or (known[3] or '') ~= '' then return end
  schedules.pause(id, 'failures')
  local data = cjson.encode({schedule = id, name = known[2], failures = failures, code = code})
  local name = 'schedule.' .. id .. '.' .. whole(now())
  add_webhook('', known[1], name, '', known[4], known[5], data, 'schedule.paused', now())
end

-- Note the end of a run's job. A cancelled job is neither a failure nor a success.
function schedules.end_run(job_id, id, to, code)
  if redis.call('EXISTS', schedules.record(id)) == 0 then return end
  schedules.note_run(job_id, id)
  if to == 'failed' then schedules.count_failure(id, code) end
  if to == 'completed' then redis.call('HSET', schedules.record(id), 'failures', 0) end
end

-- Delete a schedule. The list of its jobs ends with the last of them.
function schedules.forget(id)
  local known = redis.call('HMGET', schedules.record(id), 'caller', 'bytes')
  redis.call('ZREM', schedules.DUE, id)
  redis.call('ZREM', schedules.ALL, id)
  if not known[1] then return end
  redis.call('ZREM', schedules.of(known[1]), id)
  add_to_caller(known[1], -(known[2] or 0))
  redis.call('DEL', schedules.record(id), schedules.runs(id))
end
