-- Record that a slot is alive, and remove slots that died a minute ago.
-- ARGV
--   slot
--   alive_ms  ms for which the slot counts as alive
-- Returns nothing.
local slot, alive_ms = ARGV[1], ARGV[2]
local seconds = now() / 1000
redis.call('ZADD', SLOTS, string.format('%.3f', seconds + alive_ms / 1000), slot)
redis.call('ZREMRANGEBYSCORE', SLOTS, 0, whole(seconds - 60))
