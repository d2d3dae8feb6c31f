-- Write what `rq info` shows: waiting, running, completed and failed jobs, and the live slots. The names of the keys are
-- RQ's; nothing of the gateway reads them.
-- ARGV
--   queue       RQ's queue
--   every       ms in which no other worker does the same
--   ttl         s after which a slot's record expires
--   written_at  the present time, as RQ writes times
-- Returns nothing.
local queue, every, ttl, written_at = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local MOST_WAITING, MOST_ENDED, CHUNK = 100000, 10000, 2500
local list, wip = 'rq:queue:' .. queue, 'rq:wip:' .. queue
local workers, workers_of_queue = 'rq:workers', 'rq:workers:' .. queue
if not redis.call('SET', RQ_VIEW, '', 'NX', 'PX', whole(every)) then return end
local seconds = now() / 1000

-- The slots, each with the job that it runs.
local is_live = {}
redis.call('DEL', wip)
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', SLOTS, string.format('%.3f', seconds), '+inf')) do
  local key, job = 'rq:worker:' .. slot, redis.call('HGET', RUNNING, slot)
  is_live[key] = true
  local state = job and 'busy' or 'idle'
  -- A slot that has just started says itself when it waits for jobs.
  if not job and redis.call('HGET', key, 'state') == 'started' then state = 'started' end
  redis.call('HSET', key, 'queues', queue, 'state', state, 'last_heartbeat', written_at)
  redis.call('EXPIRE', key, whole(ttl))
  redis.call('SADD', workers, key)
  redis.call('SADD', workers_of_queue, key)
  if job then redis.call('ZADD', wip, whole(seconds + ttl), job .. ':' .. slot) end
end
for _, key in ipairs(redis.call('SMEMBERS', workers_of_queue)) do
  if not is_live[key] then
    redis.call('SREM', workers, key)
    redis.call('SREM', workers_of_queue, key)
  end
end

-- A long list takes longer to copy and is copied less often: 50,000 jobs take 20 ms, each 11 s.
redis.call('SADD', 'rq:queues', list)
local waiting = math.min(redis.call('ZCARD', WAITING), MOST_WAITING)
if not redis.call('SET', RQ_VIEW .. ':lists', '', 'NX', 'PX', whole(every - 1 + waiting / 5)) then return end

-- Call `add` with members of a sorted set from one rank to another, CHUNK at a time.
local function copy(from, first, last, add)
  for start = first, last, CHUNK do
    add(redis.call('ZRANGE', from, start, math.min(start + CHUNK - 1, last)))
  end
end

local function is_copied()
  return redis.call('LLEN', list) == waiting
    and redis.call('LINDEX', list, 0) == redis.call('ZRANGE', WAITING, 0, 0)[1]
    and redis.call('LINDEX', list, -1) == redis.call('ZRANGE', WAITING, waiting - 1, waiting - 1)[1]
end

if waiting == 0 then
  redis.call('DEL', list)
elseif not is_copied() then
  redis.call('DEL', list)
  copy(WAITING, 0, waiting - 1, function(ids) redis.call('RPUSH', list, unpack(ids)) end)
end

-- The latest of the jobs that have ended, in RQ's registries, whose scores are expiry times.
for state, registry in pairs({completed = 'rq:finished:' .. queue, failed = 'rq:failed:' .. queue}) do
  local from = all_of(state)
  local total = redis.call('ZCARD', from)
  local latest = redis.call('ZRANGE', from, -1, -1)[1]
  local copied = math.min(total, MOST_ENDED)
  if redis.call('ZCARD', registry) ~= copied or (latest and not redis.call('ZSCORE', registry, latest)) then
    redis.call('DEL', registry)
    copy(from, total - copied, total - 1, function(ids)
      local scored = {}
      for _, id in ipairs(ids) do
        scored[#scored + 1] = '+inf'
        scored[#scored + 1] = id
      end
      redis.call('ZADD', registry, unpack(scored))
    end)
  end
end
