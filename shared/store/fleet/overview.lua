-- Read what the overview shows beside the counters: what waits and why, who runs what, and what was spent today.
-- ARGV
--   most    callers, spenders and hosts that are listed, of each
--   budget  USD that a caller may spend a day, 0 for any sum
-- Returns JSON: now; refused, the store's error for a write, or ''; priorities, three counts of waiting jobs; callers, a list of
-- {caller, entry, waiting, active}; paused, limited and limited_ms, or ''; refusals, refusal and refused_since, of Claude; slots,
-- a list of {slot, dead, memory, job, caller, begun, waiting, credential}; workers, a list of JSON; spent, of all callers;
-- spenders, a list of {caller, entry, cost, budget}, the largest first, and exhausted, those that reached their budget; hosts, a
-- list of {host, failing, failures, paused}; failing, the number of all of them.
local most, budget = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = now()
local MOST_READ = 1000
local function field(value) return value or '' end

-- Of a store that is full or read-only the rest can still be read.
local written = redis.pcall('SET', WRITTEN, whole(time))
local refused = type(written) == 'table' and written.err or ''

local priorities = {}
for priority = 0, 2 do
  local from, to = score_of(priority, 0), '(' .. score_of(priority + 1, 0)
  priorities[priority + 1] = redis.call('ZCOUNT', WAITING, from, to) + redis.call('ZCOUNT', HELD, from, to)
end

-- The callers whose last jobs are farthest behind in the queue, and those whose jobs wait for their own running jobs.
local callers, seen = {}, {}
local function add_caller(caller)
  if seen[caller] then return end
  seen[caller] = true
  local waiting = redis.call('ZCARD', jobs_of(caller, 'waiting'))
  if waiting > 0 then callers[#callers + 1] = {caller = caller, waiting = waiting} end
end
for priority = 0, 2 do
  for _, caller in ipairs(redis.call('ZREVRANGE', finish_tags_of(priority), 0, most - 1)) do add_caller(caller) end
end
for _, caller in ipairs(redis.call('SRANDMEMBER', HOLDING, most)) do add_caller(caller) end
table.sort(callers, function(a, b)
  if a.waiting ~= b.waiting then return a.waiting > b.waiting end
  return a.caller < b.caller
end)
for place = #callers, most + 1, -1 do callers[place] = nil end
for _, one in ipairs(callers) do
  one.active = redis.call('ZCARD', jobs_of(one.caller, 'active'))
  one.entry = field(redis.call('HGET', CALLER_KEYS, one.caller))
end

local slots = {}
local known = redis.call('ZRANGE', SLOTS, 0, MOST_READ - 1, 'WITHSCORES')
for i = 1, #known, 2 do
  local slot = {slot = known[i], dead = tonumber(known[i + 1]), memory = field(redis.call('HGET', SLOT_MEMORY, known[i]))}
  slot.job = field(redis.call('HGET', RUNNING, known[i]))
  if slot.job ~= '' then
    local job = redis.call('HMGET', record_of(slot.job), 'begun', 'waiting', 'cred', 'caller')
    slot.begun, slot.waiting, slot.credential, slot.caller = field(job[1]), field(job[2]), field(job[3]), field(job[4])
  end
  slots[#slots + 1] = slot
end

local spent, spenders, exhausted = 0, {}, {}
local today = redis.call('HGETALL', spend_of('', day_of(time)))
for i = 1, #today, 2 do
  local caller = string.match(today[i], '^by:(.*)$')
  if caller then spenders[#spenders + 1] = {caller = caller, cost = tonumber(today[i + 1])} end
  if today[i] == 'cost' then spent = tonumber(today[i + 1]) end
end
table.sort(spenders, function(a, b)
  if a.cost ~= b.cost then return a.cost > b.cost end
  return a.caller < b.caller
end)
local has_policies = redis.call('EXISTS', POLICIES) == 1
for place, one in ipairs(spenders) do
  if place > MOST_READ then break end
  one.budget = has_policies and policy_of(one.caller).dailyBudgetUsd or budget
  if one.budget > 0 and one.cost >= one.budget and #exhausted < most then exhausted[#exhausted + 1] = one end
end
for place = #spenders, most + 1, -1 do spenders[place] = nil end
for _, list in ipairs({spenders, exhausted}) do
  for _, one in ipairs(list) do one.entry = field(redis.call('HGET', CALLER_KEYS, one.caller)) end
end

local hosts = {}
local names = redis.call('SRANDMEMBER', FAILING_HOSTS, MOST_READ)
for _, host in ipairs(names) do
  local state = redis.call('HMGET', host_of(host), 'failing', 'failures', 'paused')
  if state[1] then
    hosts[#hosts + 1] =
      {host = host, failing = tonumber(state[1]), failures = tonumber(state[2]), paused = field(state[3])}
  end
end
table.sort(hosts, function(a, b)
  if a.failing ~= b.failing then return a.failing < b.failing end
  return a.host < b.host
end)
for place = #hosts, most + 1, -1 do hosts[place] = nil end

local upstream = redis.call('HMGET', UPSTREAM, 'refused', 'code', 'since')
return cjson.encode({
  now = time, refused = refused, priorities = priorities, callers = callers, slots = slots, spent = spent,
  paused = field(redis.call('GET', PAUSED)), limited = field(redis.call('GET', NOT_BEFORE)),
  limited_ms = redis.call('PTTL', NOT_BEFORE), refusals = field(upstream[1]), refusal = field(upstream[2]),
  refused_since = field(upstream[3]), workers = redis.call('HVALS', WORKERS), spenders = spenders, exhausted = exhausted,
  hosts = hosts, failing = redis.call('SCARD', FAILING_HOSTS),
})
