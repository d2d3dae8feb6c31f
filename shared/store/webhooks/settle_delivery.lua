-- Record one delivery attempt and schedule the next.
-- ARGV
--   name        name of the delivery
--   number      number of its lease
--   outcome     delivered, retried or abandoned
--   pause_ms    ms until the next attempt
--   result      the attempt's result, JSON
--   disable_ms  ms of failures alone after which the host is paused
-- Returns the attempt's number, or 0 when another process holds the lease.
local name, number, outcome, pause_ms, result, disable_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local hook = redis.call('HMGET', hook_of(name), 'n', 'state', 'host', 'again', 'caller')
if hook[1] ~= number or hook[2] ~= 'pending' then return 0 end
local time, host, caller = now(), hook[3], hook[5]
local attempt = redis.call('HINCRBY', hook_of(name), 'attempt', 1)
-- End the lease, so that a second sending after a lost reply is not counted.
redis.call('HINCRBY', hook_of(name), 'n', 1)
redis.call('HDEL', hook_of(name), 'again', 'leased')
count('webhooks:' .. outcome)

local due = outcome == 'retried' and whole(time + pause_ms) or ''
if hook[4] == 'during' then -- a redelivery was requested while the attempt ran
  due = whole(time)
  redis.call('HSET', hook_of(name), 'again', 'requested')
else
  redis.call('HINCRBY', hook_of(name), 'tries', 1)
end
if due == '' then
  redis.call('HSET', hook_of(name), 'state', outcome)
  redis.call('ZREM', due_of(caller, host), name)
  count('webhooks_pending', -1)
else
  redis.call('ZADD', due_of(caller, host), due, name)
end
due_by_its_first(caller, host)
redis.call('RPUSH', attempts_of(name), attempt .. '\n' .. whole(time) .. '\n' .. due .. '\n' .. result)
redis.call('LTRIM', attempts_of(name), -100, -1)

if outcome == 'delivered' then
  redis.call('DEL', host_of(host))
  redis.call('SREM', FAILING_HOSTS, host)
else
  redis.call('SADD', FAILING_HOSTS, host)
  redis.call('HSETNX', host_of(host), 'failing', whole(time))
  redis.call('HINCRBY', host_of(host), 'failures', 1)
  if time - redis.call('HGET', host_of(host), 'failing') >= disable_ms then
    redis.call('HSETNX', host_of(host), 'paused', whole(time))
  end
end
forget_if_done(name)
return attempt
