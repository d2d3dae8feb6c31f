-- Revoke a caller's key. May be sent twice. `cancel_revoked.lua` cancels the caller's jobs.
-- ARGV  1 caller  2 id of this revocation  3 s for which the caller's webhook secrets are kept
-- Returns 1 when the key is revoked by this revocation, 0 when the caller has no key.
local caller, revocation, keep_secrets = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', REVOKED, caller) == revocation then return 1 end
local known = redis.call('HGET', 'cg:keys', caller)
if not known then return 0 end
-- The first write frees memory, see end_job.
redis.call('HDEL', 'cg:keys', caller)
redis.call('DEL', 'cg:key:' .. cjson.decode(known).digest)
redis.call('DEL', credentials_of(caller))
redis.call('HSET', REVOKED, caller, revocation)
redis.call('SADD', REVOKING, caller)
-- Webhooks of the cancelled jobs are still signed.
redis.call('EXPIRE', 'cg:secret:' .. caller, keep_secrets)
redis.call('PUBLISH', REVOCATIONS, caller)
return 1
