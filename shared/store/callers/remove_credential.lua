-- Delete a caller's credential, and what was granted of it. Safe to send twice.
-- ARGV
--   caller
--   name
-- Returns 1, or 0 when there is none of that name.
local caller, name = ARGV[1], ARGV[2]
if redis.call('HDEL', credentials_of(caller), name) == 0 then return 0 end
redis.call('HDEL', uses_of(caller), name)
for _, user in ipairs(redis.call('HKEYS', CALLER_KEYS)) do
  if redis.call('HGET', granted_to(user), name) == caller then redis.call('HDEL', granted_to(user), name) end
end
return 1
