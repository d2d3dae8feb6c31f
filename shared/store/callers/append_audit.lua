-- Append an entry to the audit list, and delete those of its source that are too old or too many. Safe to send twice.
-- ARGV
--   source
--   entry_id  id of this entry
--   entry     JSON without the time
--   most      entries of the source that are kept
--   keep_ms   ms for which an entry is kept
-- Returns 1.
local source, entry_id, entry, most, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local list, time = audit_of(source), now()
local last = redis.call('XREVRANGE', list, '+', '-', 'COUNT', 1)[1]
if last and last[2][2] == entry_id then return 1 end
local number = whole(redis.call('INCR', AUDIT_SEQUENCE))
redis.call('XADD', list, 'MAXLEN', most, number .. '-0', 'id', entry_id, 'at', whole(time), 'entry', entry)
for _, old in ipairs(redis.call('XRANGE', list, '-', '+', 'COUNT', 100)) do
  if tonumber(old[2][4]) > time - keep_ms then break end
  redis.call('XDEL', list, old[1])
end
return 1
