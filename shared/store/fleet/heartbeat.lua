-- Record that a slot is alive, and remove slots that died a minute ago.
-- ARGV
--   slot
--   alive_ms  ms for which the slot counts as alive
--   memory    bytes of memory of the slot's processes
-- Returns nothing.
local slot, alive_ms, memory = ARGV[1], ARGV[2], ARGV[3]
local seconds = now() / 1000
redis.call('ZADD', SLOTS, string.format('%.3f', seconds + alive_ms / 1000), slot)
redis.call('HSET', SLOT_MEMORY, slot, memory)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', SLOTS, 0, whole(seconds - 60))) do
  redis.call('ZREM', SLOTS, dead)
  redis.call('HDEL', SLOT_MEMORY, dead)
end
