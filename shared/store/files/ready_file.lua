-- Part of scripts that make files ready.

-- Note what was stored of a file: it holds its true size in the quota.
local function fill_file(id, caller, held, file)
  redis.call('HINCRBY', FILE_BYTES, caller, whole(file.size - tonumber(held)))
  redis.call('HSET', file_of(id), 'size', whole(file.size), 'held', whole(file.size), 'sha256', file.sha256, 'type',
    file.media_type, 'kind', file.kind)
end

-- Make a pending or awaited file of a caller ready, until it expires.
local function make_ready(id, caller, held, expires, file)
  fill_file(id, caller, held, file)
  redis.call('HSET', file_of(id), 'state', 'ready')
  redis.call('ZADD', FILES_DUE, expires, id)
end
