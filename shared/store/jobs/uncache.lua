-- Clear the cache entry that one job answers, or up to so many entries.
-- ARGV
--   job_id  '' for any job
--   most    how many entries at most
-- Returns how many were cleared.
local id, most = ARGV[1], ARGV[2]
if id ~= '' then
  local fingerprint = redis.call('HGET', record_of(id), 'fp')
  local kept = fingerprint and redis.call('HGET', cache_of(fingerprint), 'job') == id
  uncache(id, fingerprint)
  return kept and 1 or 0
end
local cleared = redis.call('ZPOPMIN', CACHED, most)
for i = 1, #cleared, 2 do redis.call('DEL', cache_of(cleared[i])) end
return #cleared / 2
