-- Take the next job off the queue, and due jobs back into it.
-- ARGV
--   claim_ms  ms until the claim must have been made
--   takes     'plain' when the worker takes no job that needs a sandbox, 'all' otherwise
--   caller_max_active  jobs that a caller may run at once, 0 for any number
-- Returns the claim, `JOB-N`, or nil when nothing may start.
local claim_ms, takes, caller_max_active = ARGV[1], ARGV[2], ARGV[3]
local time = now()
-- Jobs that one call holds at most.
local MOST_HELD = 100

-- Return the first job of the queue and its score; for a worker without a sandbox those of the first that needs none.
local function first_job()
  local first = redis.call('ZRANGE', takes == 'plain' and PLAIN or WAITING, 0, 0, 'WITHSCORES')
  if first[1] or takes ~= 'plain' then return first[1], first[2] end
  -- Jobs that waited before the gateway was upgraded are in no list of their own.
  local every = redis.call('ZRANGE', WAITING, 0, 99, 'WITHSCORES')
  for i = 1, #every, 2 do
    if redis.call('HEXISTS', record_of(every[i]), 'sandbox') == 0 then return every[i], every[i + 1] end
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', whole(time), 'LIMIT', 0, 100)) do
  end_delay(id)
end

if redis.call('EXISTS', PAUSED, NOT_BEFORE) > 0 then return nil end
local refusals = redis.call('HMGET', UPSTREAM, 'refused', 'probe')
local probing = tonumber(refusals[1] or 0) >= HELD_AFTER
if probing and time < tonumber(refusals[2]) then return nil end
local id, score, n
local held = 0
repeat
  id, score = first_job()
  if not id then
    forget_tags()
    return nil
  end
  redis.call('ZREM', WAITING, id)
  redis.call('ZREM', PLAIN, id)
  local job = redis.call('HMGET', record_of(id), 'n', 'caller')
  -- `cancel_revoked.lua` ends the jobs of a caller whose key is revoked; until then none of them may start.
  n = job[1] and not is_revoked(job[2]) and job[1]
  if n and room_to_run(job[2], caller_max_active, policy_of(job[2])) <= 0 then
    hold(id, job[2], score)
    n, held = nil, held + 1
    if held == MOST_HELD then
      wake() -- the next pop continues
      return nil
    end
  end
until n -- an id without a record is skipped, so that it does not keep the others from starting
advance(place_of(tonumber(score)))
if probing then redis.call('HSET', UPSTREAM, 'probe', whole(time + PROBE_EVERY)) end

-- Until a slot has claimed it, the job belongs to no slot: if the slot dies now, the lease ends soon.
redis.call('ZADD', ACTIVE, whole(time + claim_ms), id)
-- The clock of a job starts in the order of the queue, whichever of two slots claims first.
redis.call('HSET', record_of(id), 'taken', whole(time))
return id .. '-' .. n
