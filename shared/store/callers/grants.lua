-- Part of the scripts that change which callers may use the credentials of others.

-- Withdraw a credential from a caller that its owner has let use it.
local function withdraw_grant(owner, name, user)
  redis.call('SREM', users_of_credential(owner, name), user)
  if redis.call('HGET', granted_to(user), name) == owner then redis.call('HDEL', granted_to(user), name) end
end
