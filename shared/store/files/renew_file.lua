-- Renew the lease of an upload. May be sent twice.
-- ARGV
--   id
--   lease_ms  ms from now
-- Returns 1, or 0 when the upload must stop: its lease has ended, or its caller's key is revoked.
local id, lease_ms = ARGV[1], tonumber(ARGV[2])
local record = redis.call('HMGET', file_of(id), 'state', 'caller')
if record[1] ~= 'pending' or is_revoked(record[2]) then return 0 end
redis.call('ZADD', FILES_DUE, whole(now() + lease_ms), id)
return 1
