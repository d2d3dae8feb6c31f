-- Replace the entry of a credential if nobody has changed it meanwhile.
-- ARGV  1 caller  2 name  3 the entry as it was read  4 the entry with another seal
-- Returns 1 when it is replaced, else 0.
local caller, name, before, after = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', credentials_of(caller), name) ~= before then return 0 end
redis.call('HSET', credentials_of(caller), name, after)
return 1
