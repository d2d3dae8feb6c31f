-- Record one try of a webhook, and decide what follows.
-- ARGV  1 request  2 n of its lease  3 outcome: delivered, retried or abandoned  4 ms until the next try
--       5 the try, JSON  6 ms of nothing but failures after which the host is paused
-- Returns the try's number, or 0 when the lease is another's by now.
local request, outcome = ARGV[1], ARGV[3]
local hook = redis.call('HMGET', hook_of(request), 'n', 'state', 'host', 'again', 'caller')
if hook[1] ~= ARGV[2] or hook[2] ~= 'pending' then return 0 end
local time, host, caller = now(), hook[3], hook[5]
local number = redis.call('HINCRBY', hook_of(request), 'attempt', 1)
-- The lease is void, so that a reply that was lost does not count twice.
redis.call('HINCRBY', hook_of(request), 'n', 1)
redis.call('HDEL', hook_of(request), 'again', 'leased')
count('webhooks:' .. outcome)

local due = outcome == 'retried' and whole(time + ARGV[4]) or ''
if hook[4] == 'during' then -- somebody asked for it while it was sent
  due = whole(time)
  redis.call('HSET', hook_of(request), 'again', 'asked')
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
redis.call('RPUSH', tries_of(request), number .. '\n' .. whole(time) .. '\n' .. due .. '\n' .. ARGV[5])
redis.call('LTRIM', tries_of(request), -100, -1)

if outcome == 'delivered' then
  redis.call('DEL', host_of(host))
  redis.call('SREM', FAILING_HOSTS, host)
else
  redis.call('SADD', FAILING_HOSTS, host)
  redis.call('HSETNX', host_of(host), 'failing', whole(time))
  redis.call('HINCRBY', host_of(host), 'failures', 1)
  if time - redis.call('HGET', host_of(host), 'failing') >= tonumber(ARGV[6]) then
    redis.call('HSETNX', host_of(host), 'paused', whole(time))
  end
end
return number
