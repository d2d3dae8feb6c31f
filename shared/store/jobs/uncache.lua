-- Clear the cache of what one job answers, or of up to so many entries.
-- ARGV  1 job id, '' for any  2 how many at most
-- Returns how many were cleared.
if ARGV[1] ~= '' then
  local fingerprint = redis.call('HGET', record_of(ARGV[1]), 'fp')
  local kept = fingerprint and redis.call('HGET', cache_of(fingerprint), 'job') == ARGV[1]
  uncache(ARGV[1], fingerprint)
  return kept and 1 or 0
end
local cleared = redis.call('ZPOPMIN', CACHED, ARGV[2])
for i = 1, #cleared, 2 do redis.call('DEL', cache_of(cleared[i])) end
return #cleared / 2
