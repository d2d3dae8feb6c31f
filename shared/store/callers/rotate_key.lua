-- Replace a caller's key. The present one works for a time; an older one that still worked ends. Safe to send twice.
-- ARGV
--   caller
--   digest      SHA-256 of the new key
--   overlap_ms  ms for which the present key still works
-- Returns 1, or 0 when the caller has no key.
local caller, digest, overlap_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local text = redis.call('HGET', CALLER_KEYS, caller)
if not text then return 0 end
local known = cjson.decode(text)
if known.digest == digest then return 1 end
local scopes = redis.call('HGET', caller_key_of(known.digest), 'scopes')
redis.call('HSET', caller_key_of(digest), 'digest', digest, 'caller', known.caller)
if scopes then redis.call('HSET', caller_key_of(digest), 'scopes', scopes) end
redis.call('HSET', CALLER_KEYS, caller, cjson.encode({digest = digest, caller = known.caller, previous = known.digest}))
if known.previous then redis.call('DEL', caller_key_of(known.previous)) end
redis.call('PEXPIRE', caller_key_of(known.digest), whole(overlap_ms)) -- at 0 it is deleted at once
return 1
