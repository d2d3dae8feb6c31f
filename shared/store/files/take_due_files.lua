-- Find files whose bytes can be removed, and awaited uploads whose presigned URL has expired, which are to be checked once.
-- ARGV
--   most      how many files at most
--   again_ms  ms after which a file is taken again when nobody has forgotten it
-- Returns {id, state, where its bytes are, size, media type, id, …}.
local most, again_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local found, time = {}, now()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', FILES_DUE, '-inf', whole(time), 'LIMIT', 0, most)) do
  local key = file_of(id)
  local record = redis.call('HMGET', key, 'state', 'at', 'size', 'type', 'caller', 'checked')
  if not record[2] then
    redis.call('ZREM', FILES_DUE, id)
  else
    redis.call('ZADD', FILES_DUE, whole(time + again_ms), id)
    local to_check = record[1] == 'awaited' and not record[6] and not is_revoked(record[5])
    if to_check then
      redis.call('HSET', key, 'checked', 1)
    elseif record[1] ~= 'deleted' then
      redis.call('HSET', key, 'state', 'deleted')
      redis.call('ZREM', files_of(record[5]), id)
    end
    if to_check or not file_in_use(id) then
      for _, value in ipairs({id, to_check and 'awaited' or 'deleted', record[2], record[3], record[4]}) do
        found[#found + 1] = value
      end
    end
  end
end
return found
