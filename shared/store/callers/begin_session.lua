-- Begin a dashboard session and end the one that it replaces.
-- ARGV
--   digest    of the token
--   role
--   proof     proof of the password
--   idle_ms   ms until an idle session ends
--   total_ms  ms until any session ends
--   replaced  digest of the token of the session that is replaced, or ''
-- Returns 1.
local digest, role, proof, idle_ms, total_ms, replaced = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
if replaced ~= '' then redis.call('DEL', session_of(replaced)) end
redis.call('SET', session_of(digest), role .. ' ' .. proof .. ' ' .. whole(now() + total_ms), 'PX', idle_ms)
return 1
