-- Take the next job off the queue and make the RQ job that is one claim of it; put due delayed jobs back into the queue.
-- ARGV
--   intermediate  RQ's intermediate list
--   prefix        prefix of an RQ job's key
--   queue         name of RQ's queue
--   code          function that RQ runs
--   claim_ms      ms until the claim must have been made
--   timeout_s     RQ's timeout, s
--   rq_now        the present time, as RQ writes times
-- Returns the claim, `JOB-N`, or nil when nothing may start.
local intermediate, prefix, queue, code, claim_ms, timeout_s, rq_now =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local time = now()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', whole(time), 'LIMIT', 0, 100)) do
  redis.call('ZREM', DELAYED, id)
  local job = read(id, 'caller', 'state', 'prio', 'seq', 'progress')
  if job.state == 'delayed' then
    change_state(id, job.caller, job.seq, 'delayed', 'waiting')
    enqueue(id, job.prio, job.seq)
    publish_state(id, 'waiting', job.progress)
  end
end

if redis.call('EXISTS', PAUSED, NOT_BEFORE) > 0 then return nil end
local held = redis.call('HMGET', UPSTREAM, 'refused', 'probe')
local probing = tonumber(held[1] or 0) >= HELD_AFTER
if probing and time < tonumber(held[2]) then return nil end
local id, n
repeat
  id = redis.call('ZPOPMIN', WAITING)[1]
  if not id then return nil end
  local job = redis.call('HMGET', record_of(id), 'n', 'caller')
  -- `cancel_revoked.lua` ends the jobs of a caller whose key is revoked; until then none of them may start.
  n = job[1] and not is_revoked(job[2]) and job[1]
until n -- an id without a record is skipped, so that it does not keep the others from starting
if probing then redis.call('HSET', UPSTREAM, 'probe', whole(time + PROBE_EVERY)) end

local claim = id .. '-' .. n
-- Until a slot has claimed it, the job belongs to no slot: if the slot dies now, the lease ends soon.
redis.call('ZADD', ACTIVE, whole(time + claim_ms), id)
-- The clock of a job starts in the order of the queue, whichever of two slots claims first.
redis.call('HSET', record_of(id), 'taken', whole(time))
redis.call('HSET', prefix .. claim, 'data', cjson.encode({code, cjson.null, {claim}, cjson.decode('{}')}),
  'origin', queue, 'status', 'queued', 'created_at', rq_now, 'enqueued_at', rq_now,
  'timeout', timeout_s, 'result_ttl', 0, 'failure_ttl', 3600, 'description', claim)
-- RQ deletes it when it ends; what a crash leaves behind expires.
redis.call('EXPIRE', prefix .. claim, 86400)
redis.call('RPUSH', intermediate, claim)
return claim
