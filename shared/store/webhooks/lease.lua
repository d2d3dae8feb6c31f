-- Lease due deliveries to one dispatcher.
-- A caller takes another place only while it holds fewer than are free, so that one takes half at most, two a third each,
-- and another caller's first delivery finds a place. Likewise a host shares what is left to its caller. The one that holds
-- the fewest comes first, then the one that is due longest. A failing host gets one attempt of a caller at a time. A
-- delivery that is due for a paused host is skipped, unless its redelivery was requested.
-- ARGV
--   free      free places of the dispatcher
--   lease_ms  ms until the leases end
--   per_host  places for one host of a caller
--   busy      JSON of caller → host → places that it holds
--   skipped   the result recorded for a skipped delivery, JSON
-- Returns {ms until the next caller is due or -1, name, n, name, n, …}.
local free, lease_ms, per_host, busy, skipped =
  tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[4]), ARGV[5]
local time = now()
local taken, touched, left = {0}, {}, 1000

local function due_in(list, most)
  return redis.call('ZRANGEBYSCORE', list, '-inf', whole(time), 'LIMIT', 0, most)
end

local function fewest_first(a, b)
  if a.held ~= b.held then return a.held < b.held end
  return a.place < b.place
end

local callers = {}
for place, name in ipairs(due_in(DUE, 1000)) do
  local held, hosts = 0, 0
  for _, places in pairs(busy[name] or {}) do held, hosts = held + places, hosts + 1 end
  callers[place] = {name = name, place = place, held = held, busy = hosts}
end
table.sort(callers, fewest_first)

-- Hosts without a free place may come before the others, so as many more are read.
local share = math.ceil(free / math.max(1, #callers))
local function hosts_of(caller)
  if not caller.hosts then
    caller.hosts, caller.turn = {}, 1
    for place, name in ipairs(due_in(due_hosts_of(caller.name), share + caller.busy)) do
      caller.hosts[place] = {name = name, place = place, held = (busy[caller.name] or {})[name] or 0}
    end
    table.sort(caller.hosts, fewest_first)
  end
  return caller.hosts
end

local function skip(request, caller, host)
  redis.call('ZREM', due_of(caller, host), request)
  redis.call('HSET', hook_of(request), 'state', 'paused')
  local number = redis.call('HINCRBY', hook_of(request), 'attempt', 1)
  redis.call('RPUSH', attempts_of(request), number .. '\n' .. whole(time) .. '\n\n' .. skipped)
  count('webhooks_pending', -1)
  count('webhooks:paused')
  forget_if_done(request)
end

-- Find a host's next delivery that gets an attempt.
local function next_of(caller, host)
  if not host.most then
    local state = redis.call('HMGET', host_of(host.name), 'failing', 'paused')
    host.most, host.paused = state[1] and 1 or per_host, state[2]
    touched[#touched + 1] = {caller.name, host.name}
  end
  if not host.paused and host.held >= host.most then return nil end
  for _, request in ipairs(due_in(due_of(caller.name, host.name), host.paused and 100 or 1)) do
    left = left - 1
    if host.paused and not redis.call('HGET', hook_of(request), 'again') then
      skip(request, caller.name, host.name)
    elseif host.held < host.most then
      return request
    end
  end
end

-- Lease one delivery of a caller, from each of its hosts in turn; return whether there was one.
local function take_one(caller)
  local hosts = hosts_of(caller)
  while #hosts > 0 and left > 0 do
    if caller.turn > #hosts then caller.turn = 1 end
    local host = hosts[caller.turn]
    local request = host.held < free - caller.held and next_of(caller, host)
    if request then
      redis.call('ZADD', due_of(caller.name, host.name), whole(time + lease_ms), request)
      redis.call('HSET', hook_of(request), 'leased', whole(time + lease_ms))
      taken[#taken + 1] = request
      taken[#taken + 1] = redis.call('HINCRBY', hook_of(request), 'n', 1)
      host.held, caller.held, free, caller.turn = host.held + 1, caller.held + 1, free - 1, caller.turn + 1
      return true
    end
    table.remove(hosts, caller.turn) -- it gets no more room in this run
  end
  return false
end

local more
repeat
  more = false
  for _, caller in ipairs(callers) do
    if caller.held < free and take_one(caller) then more = true end
  end
until not more
for _, of in ipairs(touched) do due_by_its_first(of[1], of[2]) end
-- A caller without room is leased from again when there is room.
local upcoming = redis.call('ZRANGEBYSCORE', DUE, '(' .. whole(time), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
taken[1] = upcoming[2] and upcoming[2] - time or -1
return taken
