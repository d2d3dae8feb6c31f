-- Store a caller's credential, or replace the one of that name. May be sent twice.
-- ARGV
--   caller
--   name
--   version     id of this write
--   credential  the entry without version and times, JSON
--   most        credentials that a caller can have
-- Returns {'created' or 'replaced', the entry as it is stored, JSON}, or {'full'} or {'revoked'}.
local caller, name, version, credential, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if is_revoked(caller) then return {'revoked'} end
local key = credentials_of(caller)
local stored = redis.call('HGET', key, name)
local before = stored and cjson.decode(stored)
if before and before.version == version then
  return {before.created == before.updated and 'created' or 'replaced', stored}
end
if not before and redis.call('HLEN', key) >= most then return {'full'} end
local time = whole(now())
-- The fields are added as text, because cjson would write an empty list of hosts as an object.
local times = '"created":' .. whole(before and before.created or time) .. ',"updated":' .. time
local entry = '{"version":"' .. version .. '",' .. times .. ',' .. string.sub(credential, 2)
redis.call('HSET', key, name, entry)
return {before and 'replaced' or 'created', entry}
