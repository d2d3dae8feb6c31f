-- Set the policy of a caller, in place of its earlier one. Its waiting jobs get the places of a new weight, and those that
-- are delayed until the next day for a budget that is changed are claimed again. Safe to send twice.
-- ARGV
--   caller
--   policy  the policy, JSON; '{}' for none
-- Returns 'done', or 'missing' when the caller has no key.
local caller, policy = ARGV[1], ARGV[2]
if redis.call('HEXISTS', CALLER_KEYS, caller) == 0 then return 'missing' end
local before, length_before = policy_of(caller), length_for(caller)
if policy == '{}' then redis.call('HDEL', POLICIES, caller) else redis.call('HSET', POLICIES, caller, policy) end
local length = length_for(caller)

-- Return a tag that is as many jobs of the caller after the virtual time as it was with the earlier weight.
local function moved(priority, tag)
  local base = virtual_time(priority)
  if tag <= base then return tag end
  return math.min(math.floor(base + (tag - base) / length_before * length), BY_PRIORITY - 1)
end

local function move_waiting()
  local last = {}
  for _, id in ipairs(redis.call('ZRANGE', jobs_of(caller, 'waiting'), 0, -1)) do
    local score = waiting_score(id)
    if score then
      local priority, tag = place_of(score)
      local new = moved(priority, tag)
      redis.call('HSET', record_of(id), 'tag', whole(new))
      for _, list in ipairs({WAITING, PLAIN, HELD, held_of(caller)}) do
        redis.call('ZADD', list, 'XX', score_of(priority, new), id)
      end
      last[priority] = math.max(last[priority] or 0, new)
    end
  end
  for priority = 0, 2 do
    local finish = tonumber(redis.call('ZSCORE', finish_tags_of(priority), caller) or 0)
    local new = moved(priority, finish)
    -- Without the difference of rounding: see leave_queue.
    if last[priority] and math.abs(new - last[priority] - length) <= 1 then new = last[priority] + length end
    redis.call('ZADD', finish_tags_of(priority), 'XX', whole(new), caller)
  end
end

-- Streams look whether the key has expired.
if policy_of(caller).expiresAt then redis.call('PUBLISH', REVOCATIONS, caller) end
if length ~= length_before then move_waiting() end
if policy_of(caller).dailyBudgetUsd ~= before.dailyBudgetUsd then
  for _, id in ipairs(redis.call('ZRANGE', jobs_of(caller, 'delayed'), 0, -1)) do
    -- A job that was delayed for its budget has no tag.
    if redis.call('HEXISTS', record_of(id), 'tag') == 0 then redis.call('ZADD', DELAYED, 'XX', whole(now()), id) end
  end
  wake()
end
return 'done'
