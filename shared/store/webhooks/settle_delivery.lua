-- Record one delivery attempt and schedule the next.
-- ARGV  1 delivery  2 number of its lease  3 outcome: delivered, retried or abandoned  4 ms until the next attempt
--       5 the attempt's result, JSON  6 ms of failures alone after which the host is paused
-- Returns the attempt's number, or 0 when another process holds the lease.
local request, lease, outcome, wait, result, pause_after = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local hook = redis.call('HMGET', hook_of(request), 'n', 'state', 'host', 'again', 'caller')
if hook[1] ~= lease or hook[2] ~= 'pending' then return 0 end
local time, host, caller = now(), hook[3], hook[5]
local number = redis.call('HINCRBY', hook_of(request), 'attempt', 1)
-- End the lease, so that a second sending after a lost reply is not counted.
redis.call('HINCRBY', hook_of(request), 'n', 1)
redis.call('HDEL', hook_of(request), 'again', 'leased')
count('webhooks:' .. outcome)

local due = outcome == 'retried' and whole(time + wait) or ''
if hook[4] == 'during' then -- a redelivery was requested while the attempt ran
  due = whole(time)
  redis.call('HSET', hook_of(request), 'again', 'requested')
else
  redis.call('HINCRBY', hook_of(request), 'tries', 1)
end
if due == '' then
  redis.call('HSET', hook_of(request), 'state', outcome)
  redis.call('ZREM', due_of(caller, host), request)
  count('webhooks_pending', -1)
else
  redis.call('ZADD', due_of(caller, host), due, request)
end
due_by_its_first(caller, host)
redis.call('RPUSH', attempts_of(request), number .. '\n' .. whole(time) .. '\n' .. due .. '\n' .. result)
redis.call('LTRIM', attempts_of(request), -100, -1)

if outcome == 'delivered' then
  redis.call('DEL', host_of(host))
  redis.call('SREM', FAILING_HOSTS, host)
else
  redis.call('SADD', FAILING_HOSTS, host)
  redis.call('HSETNX', host_of(host), 'failing', whole(time))
  redis.call('HINCRBY', host_of(host), 'failures', 1)
  if time - redis.call('HGET', host_of(host), 'failing') >= pause_after then
    redis.call('HSETNX', host_of(host), 'paused', whole(time))
  end
end
return number
