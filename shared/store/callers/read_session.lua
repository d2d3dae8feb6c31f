-- Return the role of a dashboard session and keep the session for another idle time, not beyond its absolute end. A
-- session whose password has changed has another proof. It is not deleted: during a deployment, a process that still
-- has the old password would end the sessions of the new one.
-- ARGV
--   digest   of the token
--   admin    proof of the admin's password
--   viewer   proof of the viewer's password, or ''
--   idle_ms  ms until an idle session ends
-- Returns the role, or nil.
local digest, admin, viewer, idle_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local proofs = {admin = admin, viewer = viewer}
local key = session_of(digest)
local role, proof, ends = string.match(redis.call('GET', key) or '', '^(%a+) (%x+) (%d+)$')
if not role or proofs[role] ~= proof then return nil end
local left = tonumber(ends) - now()
if left <= 0 then
  redis.call('DEL', key)
  return nil
end
redis.call('PEXPIRE', key, whole(math.min(idle_ms, left)))
return role
