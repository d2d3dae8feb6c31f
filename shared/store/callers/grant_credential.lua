-- Set which other callers may use a credential of a caller. Safe to send twice.
-- ARGV
--   caller  whose credential it is
--   name
--   users ...
-- Returns {'done'}, {'missing'} without the credential, or of the first user that is refused {'unknown', user} without a key
-- or the owner itself, or {'taken', user} when it may use another caller's credential of that name.
local caller, name, users = ARGV[1], ARGV[2], rest(ARGV, 3)
local is_caller = caller == ANONYMOUS or redis.call('HEXISTS', CALLER_KEYS, caller) == 1
if not is_caller or redis.call('HEXISTS', credentials_of(caller), name) == 0 then return {'missing'} end
local wanted = {}
for _, user in ipairs(users) do
  if user == caller or redis.call('HEXISTS', CALLER_KEYS, user) == 0 then return {'unknown', user} end
  local owner = redis.call('HGET', granted_to(user), name)
  if owner and owner ~= caller and redis.call('HEXISTS', credentials_of(owner), name) == 1 then return {'taken', user} end
  wanted[user] = true
end
for _, user in ipairs(redis.call('SMEMBERS', users_of_credential(caller, name))) do
  if not wanted[user] then withdraw_grant(caller, name, user) end
end
for user in pairs(wanted) do
  redis.call('HSET', granted_to(user), name, caller)
  redis.call('SADD', users_of_credential(caller, name), user)
end
return {'done'}
