-- Part of the scripts that look for the credential that a job names.

-- Rare: return the entry of a credential that a caller may use, and whose it is: its own, or else one that another has granted.
local function find_credential(caller, name)
  local entry = redis.call('HGET', credentials_of(caller), name)
  if entry then return entry, caller end
  local owner = redis.call('HGET', granted_to(caller), name)
  return owner and redis.call('HGET', credentials_of(owner), name), owner
end

-- Find a credential for a run, and note the minute of its use. Returns '' and '' for one that the caller does not have.
local function use_credential(caller, name)
  local entry, owner = find_credential(caller, name)
  if not entry then return '', '' end
  -- A full store notes no use, and the run goes on.
  redis.pcall('HSET', uses_of(owner), name, whole(math.floor(now() / 60000)))
  return entry, owner
end
