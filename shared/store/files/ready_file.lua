-- Part of scripts that make files ready.

-- Make a pending or awaited file of a caller ready: it holds its true size in the quota, until it expires.
local function make_ready(id, caller, held, expires, file)
  redis.call('HINCRBY', FILE_BYTES, caller, whole(file.size - tonumber(held)))
  redis.call('HSET', file_of(id), 'state', 'ready', 'size', whole(file.size), 'held', whole(file.size), 'sha256', file.sha256,
    'type', file.media_type, 'kind', file.kind)
  redis.call('ZADD', FILES_DUE, expires, id)
end
