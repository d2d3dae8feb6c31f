-- Begin a dashboard session and end the one that it replaces.
-- ARGV  1 digest of the token  2 role  3 proof of the password  4 idle ms  5 ms in all  6 digest of the token of the
--       session that is replaced, or ''
-- Returns 1.
local digest, role, proof, idle, longest, replaced = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
if replaced ~= '' then redis.call('DEL', session_of(replaced)) end
redis.call('SET', session_of(digest), role .. ' ' .. proof .. ' ' .. whole(now() + longest), 'PX', idle)
return 1
