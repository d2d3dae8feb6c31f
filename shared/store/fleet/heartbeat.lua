-- Say that a slot is alive, and forget those that have not said so for long.
-- ARGV  1 slot  2 for how many ms it counts as alive from now
-- Returns nothing.
local seconds = now() / 1000
redis.call('ZADD', SLOTS, string.format('%.3f', seconds + ARGV[2] / 1000), ARGV[1])
redis.call('ZREMRANGEBYSCORE', SLOTS, 0, whole(seconds - 60))
