-- Create a key for a new caller, whose name no other caller has. Safe to send twice.
-- ARGV
--   caller   id of the caller
--   name     its name
--   digest   SHA-256 of the key
--   entry    the caller, JSON
--   secrets  the caller's webhook secrets, JSON
--   policy   the caller's policy, JSON; '{}' for none
--   scopes   the scopes of the key, '' for the default ones
-- Returns 1, or 0 when another caller has the name.
local caller, name, digest, entry, secrets, policy, scopes =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local known = redis.call('HGETALL', CALLER_KEYS)
for i = 1, #known, 2 do
  if known[i] ~= caller and cjson.decode(cjson.decode(known[i + 1]).caller).name == name then return 0 end
end
redis.call('HSET', caller_key_of(digest), 'digest', digest, 'caller', entry)
redis.call('HSET', CALLER_KEYS, caller, cjson.encode({digest = digest, caller = entry}))
redis.call('SET', secrets_of(caller), secrets)
if scopes ~= '' then redis.call('HSET', caller_key_of(digest), 'scopes', scopes) end
if policy ~= '{}' then redis.call('HSET', POLICIES, caller, policy) end
return 1
