-- Part of every script: the order of the queue. Within a priority the callers share the slots by start-time
-- fair queueing. A job's place is its start tag: the later of the priority's virtual time, which is the tag of the job that
-- was last taken off the queue, and the finish tag of its caller's job before it. Tags are integers. Jobs of several callers
-- with one tag are in the order of their ids, which is that of their creation.
local BY_PRIORITY = 2 ^ 50
local JOB = 2 ^ 20 -- virtual time that a job takes of a caller whose weight is 1

local function policy_of(caller)
  local policy = caller ~= ANONYMOUS and redis.call('HGET', POLICIES, caller)
  return policy and cjson.decode(policy) or {}
end

local function length_for(caller) return math.floor(JOB / (policy_of(caller).weight or 1)) end

local function virtual_time(priority) return tonumber(redis.call('HGET', VIRTUAL, priority) or 0) end

-- Return the start tag of a caller's next job.
local function next_tag(caller, priority)
  local finish_tags, length, earliest = finish_tags_of(priority), length_for(caller), virtual_time(priority)
  local tag = tonumber(redis.call('ZINCRBY', finish_tags, whole(length), caller)) - length
  local possible = math.min(math.max(earliest, tag), BY_PRIORITY - 1)
  if possible ~= tag then redis.call('ZADD', finish_tags, whole(possible + length), caller) end
  return possible
end

local function score_of(priority, tag) return whole(priority * BY_PRIORITY + tag) end

-- Return the priority and the tag of a score.
local function place_of(score)
  local priority = math.floor(score / BY_PRIORITY)
  return priority, score - priority * BY_PRIORITY
end

-- Advance the virtual time to the tag of a job that is taken off the queue. Finish tags that it passes have no effect any more.
local function advance(priority, tag)
  if tag <= virtual_time(priority) then return end
  redis.call('HSET', VIRTUAL, whole(priority), whole(tag))
  redis.call('ZREMRANGEBYSCORE', finish_tags_of(priority), '-inf', whole(tag))
end

-- Forget all tags when no job waits, runs or is paused, so that they neither grow nor stay.
local function forget_tags()
  if redis.call('EXISTS', WAITING, ACTIVE, DELAYED, HELD, all_of('paused')) == 0 then
    redis.call('DEL', VIRTUAL, finish_tags_of(0), finish_tags_of(1), finish_tags_of(2))
  end
end

-- Return the score of a job that waits in the queue, or that is held; nil for any other.
local function waiting_score(id)
  local score = redis.call('ZSCORE', WAITING, id) or redis.call('ZSCORE', HELD, id)
  return score and tonumber(score) or nil
end

-- Rare: take a job off the queue that does not start. Its caller gets back the virtual time that no job of it needs any more.
local function leave_queue(id, caller)
  local score = waiting_score(id)
  redis.call('ZREM', WAITING, id)
  redis.call('ZREM', PLAIN, id)
  redis.call('ZREM', HELD, id)
  redis.call('ZREM', held_of(caller), id)
  if not score then return end
  local priority, tag = place_of(score)
  local finish = tonumber(redis.call('ZSCORE', finish_tags_of(priority), caller) or 0)
  local needed = finish
  if finish == tag + length_for(caller) then needed = tag end -- it was the caller's last
  if redis.call('ZCARD', jobs_of(caller, 'waiting')) <= 20 then
    -- The virtual time is not before any tag that has been served: what was used stays used.
    local last = virtual_time(priority)
    for _, other in ipairs(redis.call('ZRANGE', jobs_of(caller, 'waiting'), 0, -1)) do
      local its_priority, its_tag = place_of(waiting_score(other) or -1)
      if its_priority == priority then last = math.max(last, its_tag) end
    end
    needed = last + length_for(caller)
  end
  if needed < finish then redis.call('ZADD', finish_tags_of(priority), whole(needed), caller) end
end
