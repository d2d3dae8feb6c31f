-- Count which MCP servers a finished job was offered and which it used, by the words of its query.
-- ARGV
--   caller
--   most      jobs of a caller that count each day
--   servers   digests of the entries, separated by spaces
--   used      for each server 1 when the job called a tool of it, else 0, separated by spaces
--   period_ms  how long counts go into the same string
--   pairs     numbers of the pairs of counts, separated by spaces, see learned.py
-- Returns 1 when the job is counted, and 0 when its caller has had its share of the day.
local caller, most, servers, used, period_ms, pairs = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local counted = learned_of_caller(caller, math.floor(now() / DAY))
if redis.call('INCR', counted) > most then return 0 end
redis.call('PEXPIRE', counted, DAY)

local period = math.floor(now() / period_ms)
local is_used = used:gmatch('%d')
for digest in servers:gmatch('%S+') do
  local key, uses = learned_of(digest, period), is_used() == '1'
  for pair in pairs:gmatch('%d+') do
    -- Seven bits of a byte, so that it stays an ASCII character. FAIL leaves a full count as it is; then its pair stays too.
    local offered = redis.call('BITFIELD', key, 'OVERFLOW', 'FAIL', 'INCRBY', 'u7', 16 * pair + 1, 1)
    if offered[1] and uses then redis.call('BITFIELD', key, 'INCRBY', 'u7', 16 * pair + 9, 1) end
  end
  redis.call('PEXPIRE', key, 2 * period_ms)
end
return 1
