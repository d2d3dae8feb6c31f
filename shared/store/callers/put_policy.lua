-- Set the policy of a caller, in place of its earlier one. Safe to send twice.
-- ARGV
--   caller
--   policy  the policy, JSON; '{}' for none
-- Returns 'done', or 'missing' when the caller has no key.
local caller, policy = ARGV[1], ARGV[2]
if redis.call('HEXISTS', CALLER_KEYS, caller) == 0 then return 'missing' end
if policy == '{}' then redis.call('HDEL', POLICIES, caller) else redis.call('HSET', POLICIES, caller, policy) end
return 'done'
