-- Revoke a caller's key. Safe to send twice. `cancel_revoked.lua` cancels the caller's jobs.
-- ARGV
--   caller
--   revocation      id of this revocation
--   keep_secrets_s  s for which the caller's webhook secrets are kept
-- Returns 1 when the key is revoked by this revocation, 0 when the caller has no key.
local caller, revocation, keep_secrets_s = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', REVOKED, caller) == revocation then return 1 end
local known = redis.call('HGET', CALLER_KEYS, caller)
if not known then return 0 end
-- The first write frees memory, see end_job.
redis.call('HDEL', CALLER_KEYS, caller)
redis.call('HDEL', POLICIES, caller)
for _, name in ipairs(redis.call('HKEYS', credentials_of(caller))) do
  for _, user in ipairs(redis.call('SMEMBERS', users_of_credential(caller, name))) do withdraw_grant(caller, name, user) end
end
local granted = redis.call('HGETALL', granted_to(caller))
for i = 1, #granted, 2 do withdraw_grant(granted[i + 1], granted[i], caller) end
local key = cjson.decode(known)
redis.call('DEL', caller_key_of(key.digest), caller_key_of(key.previous or ''), credentials_of(caller),
  uses_of(caller), granted_to(caller))
redis.call('HSET', REVOKED, caller, revocation)
redis.call('SADD', REVOKING, caller)
for _, file in ipairs(redis.call('ZRANGE', files_of(caller), 0, -1)) do
  redis.call('ZADD', FILES_DUE, whole(now()), file)
end
-- Webhooks of the cancelled jobs are still signed.
redis.call('EXPIRE', secrets_of(caller), keep_secrets_s)
redis.call('PUBLISH', REVOCATIONS, caller)
return 1
