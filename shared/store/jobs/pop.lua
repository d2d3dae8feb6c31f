-- Take the next job off the queue and make the RQ job that is one claim of it.
-- ARGV  1 RQ's intermediate list  2 prefix of an RQ job's key  3 RQ queue's name  4 function to run
--       5 ms until the claim must have been made  6 RQ timeout s  7 now, as RQ writes times
-- Returns the claim's id, `JOB-N`, or nil when nothing may start.
local time = now()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', whole(time), 'LIMIT', 0, 100)) do
  redis.call('ZREM', DELAYED, id)
  local job = read(id, 'caller', 'state', 'prio', 'seq', 'progress')
  if job.state == 'delayed' then
    change_state(id, job.caller, job.seq, 'delayed', 'waiting')
    wait_in_line(id, job.prio, job.seq)
    say_state(id, 'waiting', job.progress)
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
  -- `cancel_revoked.lua` ends the job of a caller whose key is revoked; until then it must not start.
  n = job[1] and not is_revoked(job[2]) and job[1]
until n -- what has no record is no job, and must not keep the others from starting
if probing then redis.call('HSET', UPSTREAM, 'probe', whole(time + PROBE_EVERY)) end

local claim = id .. '-' .. n
-- Until the slot has claimed it, the job is nobody's: should the slot die now, its lease ends soon.
redis.call('ZADD', ACTIVE, whole(time + ARGV[5]), id)
-- Jobs start in the order of the queue, whichever of two slots is the first to claim.
redis.call('HSET', record_of(id), 'taken', whole(time))
redis.call('HSET', ARGV[2] .. claim, 'data', cjson.encode({ARGV[4], cjson.null, {claim}, cjson.decode('{}')}),
  'origin', ARGV[3], 'status', 'queued', 'created_at', ARGV[7], 'enqueued_at', ARGV[7],
  'timeout', ARGV[6], 'result_ttl', 0, 'failure_ttl', 3600, 'description', claim)
-- RQ deletes it when it ends; what a crash leaves behind goes by itself.
redis.call('EXPIRE', ARGV[2] .. claim, 86400)
redis.call('RPUSH', ARGV[1], claim)
return claim
