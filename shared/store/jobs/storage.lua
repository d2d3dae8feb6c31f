-- Part of every script: the bytes that a caller holds in Redis. They are the queries, metadata, results and text events of its
-- jobs until the jobs are deleted, and its kept sessions. Submissions that joined a job count with it, and
-- idempotency records of cached answers, of which no job is left.
-- For records of which a caller may have any number: those of a job that has ended, of a webhook, of a submission that joined a
-- job, and of an Idempotency-Key.
local ENDED_JOB, WEBHOOK, JOINED, IDEMPOTENCY = 1024, 1024, 256, 512

local function add_to_caller(caller, bytes)
  if redis.call('HINCRBY', BYTES, caller, whole(bytes)) <= 0 then redis.call('HDEL', BYTES, caller) end
end

-- Count what a job holds more, or less. A job from before the bytes were counted is not counted.
local function add_bytes(id, caller, bytes)
  if bytes == 0 or redis.call('HEXISTS', record_of(id), 'bytes') == 0 then return end
  redis.call('HINCRBY', record_of(id), 'bytes', whole(bytes))
  add_to_caller(caller, bytes)
end

-- Count what a job holds also after a retry: submissions that joined it, webhooks of cached answers, the data of its batch.
local function add_lasting_bytes(id, caller, bytes)
  if bytes == 0 then return end
  local record = redis.call('HMGET', record_of(id), 'bytes', 'lasting')
  if not record[1] then return end
  redis.call('HSET', record_of(id), 'bytes', whole(record[1] + bytes), 'lasting', whole((record[2] or 0) + bytes))
  add_to_caller(caller, bytes)
end

-- Return whether a caller has no room for so many more bytes.
local function lacks_room(caller, limits, bytes)
  local most = limits.caller_max_bytes or 0
  return most > 0 and tonumber(redis.call('HGET', BYTES, caller) or 0) + bytes > most
end

-- Stop counting a job that is deleted.
local function forget_bytes(id, caller)
  local bytes = redis.call('HGET', record_of(id), 'bytes')
  if bytes then add_to_caller(caller, -bytes) end
end

-- Rare: count a session, whose transcript grew, until its transcript expires.
local function add_session_bytes(caller, session, bytes, expires)
  local name = caller .. ':' .. session
  redis.call('ZADD', SESSIONS, whole(expires), name)
  redis.call('HINCRBY', SESSION_BYTES, name, whole(bytes))
  add_to_caller(caller, bytes)
end

-- Rare: count what expires within a day, by the hour.
local function add_bytes_for_a_day(caller, bytes, time)
  local hour = math.floor(time / HOUR)
  add_session_bytes(caller, 'hour ' .. whole(hour), bytes, (hour + 1) * HOUR + DAY)
end

-- Stop counting sessions that have expired. The time when one expires may have been extended by its use.
local function forget_session_bytes(time, most)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', whole(time), 'LIMIT', 0, most)) do
    local caller, session = name:match('^([^:]*):(.*)$')
    local left = redis.call('PTTL', transcript_of(caller, session))
    if left > 0 then
      redis.call('ZADD', SESSIONS, whole(time + left), name)
    else
      redis.call('ZREM', SESSIONS, name)
      add_to_caller(caller, -(redis.call('HGET', SESSION_BYTES, name) or 0))
      redis.call('HDEL', SESSION_BYTES, name)
    end
  end
end
