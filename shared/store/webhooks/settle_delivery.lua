-- Record one try of a webhook, and decide what follows.
-- ARGV
--   name         name of the webhook
--   number       n of its lease
--   outcome      delivered, retried or abandoned
--   pause_ms     ms until the next try
--   seen         the try, JSON
--   disable_ms   ms of nothing but failures after which the host is paused
-- Returns the try's number, or 0 when the lease is another's by now.
local name, number, outcome, pause_ms, seen, disable_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local hook = redis.call('HMGET', hook_of(name), 'n', 'state', 'host', 'again', 'caller')
if hook[1] ~= number or hook[2] ~= 'pending' then return 0 end
local time, host, caller = now(), hook[3], hook[5]
local attempt = redis.call('HINCRBY', hook_of(name), 'attempt', 1)
-- The lease is void, so that a reply that was lost does not count twice.
redis.call('HINCRBY', hook_of(name), 'n', 1)
redis.call('HDEL', hook_of(name), 'again', 'leased')
count('webhooks:' .. outcome)

local due = outcome == 'retried' and whole(time + pause_ms) or ''
if hook[4] == 'during' then -- somebody asked for it while it was sent
  due = whole(time)
  redis.call('HSET', hook_of(name), 'again', 'asked')
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
redis.call('RPUSH', tries_of(name), attempt .. '\n' .. whole(time) .. '\n' .. due .. '\n' .. seen)
redis.call('LTRIM', tries_of(name), -100, -1)

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
return attempt
