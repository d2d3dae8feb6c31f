-- Return the role of a dashboard session and keep the session for another idle time, not beyond its absolute end. A
-- session whose password has changed has another proof. It is not deleted: during a deployment, a process that still
-- has the old password would end the sessions of the new one.
-- ARGV  1 digest of the token  2 proof of the admin's password  3 proof of the viewer's, or ''  4 idle ms
-- Returns the role, or nil.
local digest, proofs, idle = ARGV[1], {admin = ARGV[2], viewer = ARGV[3]}, tonumber(ARGV[4])
local key = session_of(digest)
local role, proof, ends = string.match(redis.call('GET', key) or '', '^(%a+) (%x+) (%d+)$')
if not role or proofs[role] ~= proof then return nil end
local left = tonumber(ends) - now()
if left <= 0 then
  redis.call('DEL', key)
  return nil
end
redis.call('PEXPIRE', key, whole(math.min(idle, left)))
return role
