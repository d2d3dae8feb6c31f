-- Forget a file whose bytes are removed. For a day its id is known as deleted. May be sent twice.
-- ARGV
--   id
-- Returns 1.
local id = ARGV[1]
local key = file_of(id)
local record = redis.call('HMGET', key, 'caller', 'held')
redis.call('ZREM', FILES_DUE, id)
redis.call('DEL', file_jobs_of(id))
if not record[1] then return 1 end
redis.call('ZREM', files_of(record[1]), id)
redis.call('DEL', key)
redis.call('HSET', key, 'caller', record[1], 'state', 'deleted')
redis.call('EXPIRE', key, 86400)
local left = tonumber(redis.call('HGET', FILE_BYTES, record[1]) or 0) - tonumber(record[2] or 0)
if left > 0 then
  redis.call('HSET', FILE_BYTES, record[1], whole(left))
else
  redis.call('HDEL', FILE_BYTES, record[1])
end
return 1
