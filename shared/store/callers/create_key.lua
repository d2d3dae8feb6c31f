-- Create a key for a new caller, whose name no other caller has. Safe to send twice.
-- ARGV  1 caller  2 name  3 the key's SHA-256  4 the caller, JSON  5 the caller's webhook secrets, JSON
-- Returns 1, or 0 when another caller has the name.
local id, name, digest, caller, secrets = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local known = redis.call('HGETALL', CALLER_KEYS)
for i = 1, #known, 2 do
  if known[i] ~= id and cjson.decode(cjson.decode(known[i + 1]).caller).name == name then return 0 end
end
redis.call('HSET', caller_key_of(digest), 'digest', digest, 'caller', caller)
redis.call('HSET', CALLER_KEYS, id, cjson.encode({digest = digest, caller = caller}))
redis.call('SET', secrets_of(id), secrets)
return 1
