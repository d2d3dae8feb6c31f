-- Delete a caller's credential, and what was granted of it. Safe to send twice.
-- ARGV
--   caller
--   name
-- Returns 1, or 0 when there is none of that name.
local caller, name = ARGV[1], ARGV[2]
if redis.call('HDEL', credentials_of(caller), name) == 0 then return 0 end
redis.call('HDEL', uses_of(caller), name)
for _, user in ipairs(redis.call('SMEMBERS', users_of_credential(caller, name))) do withdraw_grant(caller, name, user) end
return 1
