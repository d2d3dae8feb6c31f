-- Take webhooks that are due, the longest due host first, and lease them to one deliverer.
-- ARGV  1 how many at most  2 lease ms  3 how many of one host at a time  4 JSON: host → how many the deliverer has
--       5 the try that a paused host is spared, JSON
-- A host that fails is tried with one at a time. What is due for a paused host ends here, untried, unless somebody
-- asked for it again.
-- Returns {ms until the next is due or -1, request, n, request, n, …}.
local time, left, busy = now(), tonumber(ARGV[1]), cjson.decode(ARGV[4])
local taken, looks = {0}, 1000

local function spare(request, host)
  redis.call('ZREM', due_of(host), request)
  redis.call('HSET', hook_of(request), 'state', 'paused')
  local number = redis.call('HINCRBY', hook_of(request), 'attempt', 1)
  redis.call('RPUSH', tries_of(request), number .. '\n' .. whole(time) .. '\n\n' .. ARGV[5])
  count('webhooks_pending', -1)
  count('webhooks:paused')
end

for _, host in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', whole(time), 'LIMIT', 0, 1000)) do
  if left == 0 or looks <= 0 then break end
  local state = redis.call('HMGET', host_of(host), 'failing', 'paused')
  local room = math.min((state[1] and 1 or tonumber(ARGV[3])) - (busy[host] or 0), left)
  local most = state[2] and 100 or math.max(room, 0)
  for _, request in ipairs(redis.call('ZRANGEBYSCORE', due_of(host), '-inf', whole(time), 'LIMIT', 0, most)) do
    looks = looks - 1
    if state[2] and not redis.call('HGET', hook_of(request), 'again') then
      spare(request, host)
    elseif room > 0 then
      room, left = room - 1, left - 1
      redis.call('ZADD', due_of(host), whole(time + ARGV[2]), request)
      redis.call('HSET', hook_of(request), 'leased', whole(time + ARGV[2]))
      taken[#taken + 1] = request
      taken[#taken + 1] = redis.call('HINCRBY', hook_of(request), 'n', 1)
    end
  end
  due_by_its_first(host)
end
-- A host that is due and has no room is looked at again when there is some.
local upcoming = redis.call('ZRANGEBYSCORE', DUE, '(' .. whole(time), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
taken[1] = upcoming[2] and upcoming[2] - time or -1
return taken
