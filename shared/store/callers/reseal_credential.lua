-- Replace the entry of a credential, unless it has changed meanwhile.
-- ARGV
--   caller
--   name
--   before  the entry as it was read
--   after   the entry under another seal
-- Returns 1 when it is replaced, else 0.
local caller, name, before, after = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', credentials_of(caller), name) ~= before then return 0 end
redis.call('HSET', credentials_of(caller), name, after)
return 1
