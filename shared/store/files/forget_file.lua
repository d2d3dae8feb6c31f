-- Forget a file whose bytes are removed. If it was deleted, its id is known as deleted for a day. May be sent twice.
-- ARGV
--   id
--   most_deleted  ids of deleted files that are known of a caller
-- Returns 1.
local id, most_deleted = ARGV[1], tonumber(ARGV[2])
local key = file_of(id)
local record = redis.call('HMGET', key, 'caller', 'held', 'state')
redis.call('ZREM', FILES_DUE, id)
redis.call('DEL', file_jobs_of(id))
if not record[1] then return 1 end
redis.call('ZREM', files_of(record[1]), id)
redis.call('DEL', key)
if record[3] == 'deleted' then
  redis.call('ZADD', deleted_files_of(record[1]), whole(now()), id)
  redis.call('ZREMRANGEBYRANK', deleted_files_of(record[1]), 0, -most_deleted - 1)
  redis.call('PEXPIRE', deleted_files_of(record[1]), DAY)
end
local left = tonumber(redis.call('HGET', FILE_BYTES, record[1]) or 0) - tonumber(record[2] or 0)
if left > 0 then
  redis.call('HSET', FILE_BYTES, record[1], whole(left))
else
  redis.call('HDEL', FILE_BYTES, record[1])
end
return 1
