-- Take the next job off the queue and make the RQ job that is one claim of it.
-- KEYS  1 waiting  2 RQ's intermediate list  3 delayed  4 paused  5 active
-- ARGV  1 prefix of a record's key  2 prefix of an RQ job's key  3 RQ queue's name  4 function to run
--       5 ms until the claim must have been made  6 RQ timeout s  7 now, as RQ writes times
-- Returns the claim's id, `JOB-N`, or nil when nothing may start.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)
for _, id in ipairs(due) do
  local record = ARGV[1] .. id
  local place = redis.call('HMGET', record, 'prio', 'seq')
  redis.call('ZREM', KEYS[3], id)
  if place[1] then
    redis.call('HSET', record, 'state', 'waiting')
    redis.call('ZADD', KEYS[1], string.format('%.0f', place[1] * 2 ^ 50 + place[2]), id)
  end
end

if redis.call('EXISTS', KEYS[4]) == 1 then return nil end
local popped = redis.call('ZPOPMIN', KEYS[1])
if not popped[1] then return nil end

local id = popped[1]
local claim = id .. '-' .. redis.call('HGET', ARGV[1] .. id, 'n')
-- Until the slot has claimed it, the job is nobody's: should the slot die now, its lease ends soon.
redis.call('ZADD', KEYS[5], string.format('%.0f', now + ARGV[5]), id)
redis.call('HSET', ARGV[2] .. claim, 'data', cjson.encode({ARGV[4], cjson.null, {claim}, cjson.decode('{}')}),
  'origin', ARGV[3], 'status', 'queued', 'created_at', ARGV[7], 'enqueued_at', ARGV[7],
  'timeout', ARGV[6], 'result_ttl', 0, 'failure_ttl', 3600, 'description', claim)
-- RQ deletes it when it ends; what a crash leaves behind goes by itself.
redis.call('EXPIRE', ARGV[2] .. claim, 86400)
redis.call('RPUSH', KEYS[2], claim)
return claim
