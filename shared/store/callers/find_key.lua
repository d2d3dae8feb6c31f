-- Read what a key stands for, and note the minute of its use.
-- ARGV
--   digest  SHA-256 of the key
-- Returns {digest, the caller, JSON, the key's scopes or '', the caller's policy, JSON, or ''}, or nil for an unknown key.
local digest = ARGV[1]
local key = redis.call('HMGET', caller_key_of(digest), 'digest', 'caller', 'scopes', 'used')
if not key[1] then return nil end
local minute = math.floor(now() / 60000)
-- A store that refuses writes can still be read.
if tonumber(key[4] or 0) < minute then redis.pcall('HSET', caller_key_of(digest), 'used', whole(minute)) end
return {key[1], key[2], key[3] or '', redis.call('HGET', POLICIES, cjson.decode(key[2]).id) or ''}
