-- Delete a caller's file: nobody can name it from now on. Its bytes stay until no job needs them. May be sent twice.
-- ARGV
--   caller
--   id
-- Returns {1 when it is deleted, now or before, or else 0; where its bytes are when they can be removed at once, or ''}.
local caller, id = ARGV[1], ARGV[2]
local key = file_of(id)
local record = redis.call('HMGET', key, 'caller', 'state', 'expires', 'at')
if not record[1] then
  local deleted = redis.call('ZSCORE', deleted_files_of(caller), id)
  return {deleted and deleted + DAY > now() and 1 or 0, ''}
end
if record[1] ~= caller or record[2] == 'pending' then return {0, ''} end
if record[2] ~= 'deleted' then
  if tonumber(record[3]) <= now() then return {0, ''} end
  redis.call('ZREM', files_of(caller), id)
  redis.call('HSET', key, 'state', 'deleted')
  redis.call('ZADD', FILES_DUE, whole(now()), id)
end
return {1, not file_in_use(id) and record[4] or ''}
