-- Write a key, and read what readiness depends on.
-- ARGV: none
-- Returns {now, live slots, waiting, active, delayed, since, code of a refusal, 1 if rate limited, 1 if paused, {worker's
-- JSON, …}}; fails when the store refuses writes.
local time = now()
redis.call('SET', WRITTEN, whole(time))
local refusal = redis.call('HMGET', UPSTREAM, 'since', 'code')
return {
  time, redis.call('ZCOUNT', SLOTS, string.format('%.3f', time / 1000), '+inf'),
  redis.call('ZCARD', WAITING) + redis.call('ZCARD', HELD), redis.call('ZCARD', ACTIVE), redis.call('ZCARD', DELAYED),
  refusal[1], refusal[2], redis.call('EXISTS', NOT_BEFORE), redis.call('EXISTS', PAUSED),
  redis.call('HVALS', WORKERS),
}
