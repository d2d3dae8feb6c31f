-- Part of scripts that end the claim of a lost or interrupted attempt.

-- Free what an attempt has stored and nobody will have: it leaves the caller's quota now, and the reaper removes the bytes.
local function release_pending(job)
  for _, id in ipairs(redis.call('SMEMBERS', pending_of(job))) do
    local record = redis.call('HMGET', file_of(id), 'state', 'caller', 'held')
    if record[1] == 'pending' then
      redis.call('HINCRBY', FILE_BYTES, record[2], -tonumber(record[3]))
      redis.call('HSET', file_of(id), 'state', 'deleted', 'held', 0)
      redis.call('ZREM', files_of(record[2]), id)
      redis.call('ZADD', FILES_DUE, whole(now()), id)
    end
  end
  redis.call('DEL', pending_of(job))
end
