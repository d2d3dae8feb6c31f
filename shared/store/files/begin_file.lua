-- Record a file before its bytes are stored, and reserve their size. May be sent twice.
-- ARGV
--   file    JSON: the file
--     id
--     caller
--     name
--     media_type
--     size   declared size in bytes, -1 when unknown
--     state  pending for an upload to the gateway, awaited for one to a presigned URL
--     job    the job whose run leaves the file, or ''
--   limits  JSON: the limits of the deployment
--     max_file   bytes of a file
--     max_bytes  bytes of all files of a caller without a policy that says otherwise
--     max_files  files of a caller
--     lease_ms   ms within which the bytes arrive or the lease is renewed
--     ttl_ms     ms for which the file is kept
-- Returns {'ok', bytes reserved, where the bytes go, ms of its creation}, or {'revoked'}, {'full'} or {'many'}.
local file, limits = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local key, caller, time = file_of(file.id), file.caller, now()
if is_revoked(caller) then return {'revoked'} end
local before = redis.call('HMGET', key, 'held', 'at', 'created')
if before[2] then return {'ok', tonumber(before[1]), before[2], tonumber(before[3])} end
if redis.call('ZCARD', files_of(caller)) >= limits.max_files then return {'many'} end
local left = (policy_of(caller).maxFileBytes or limits.max_bytes) - tonumber(redis.call('HGET', FILE_BYTES, caller) or 0)
-- An upload of unknown size holds as much as it could be.
local held = file.size >= 0 and file.size or math.min(limits.max_file, left)
if held > left or held < 0 or (file.size < 0 and held == 0) then return {'full'} end
-- The store's own id begins every path: a sweep removes only objects of the store that it asks.
redis.call('SET', DEPLOYMENT, file.id, 'NX')
local at = redis.call('GET', DEPLOYMENT) .. '/files/' .. file.id
redis.call('HSET', key, 'caller', caller, 'name', file.name, 'type', file.media_type, 'state', file.state, 'at', at,
  'size', whole(held), 'held', whole(held), 'created', whole(time), 'expires', whole(time + limits.ttl_ms))
redis.call('HINCRBY', FILE_BYTES, caller, whole(held))
redis.call('ZADD', FILES_DUE, whole(time + limits.lease_ms), file.id)
redis.call('ZADD', files_of(caller), redis.call('INCR', SEQUENCE), file.id)
if file.job ~= '' then
  redis.call('SADD', pending_of(file.job), file.id)
  redis.call('PEXPIRE', pending_of(file.job), limits.lease_ms)
end
return {'ok', held, at, time}
