-- List the slots that are alive.
-- ARGV: none
-- Returns {slot, …}.
return redis.call('ZRANGEBYSCORE', SLOTS, string.format('%.3f', now() / 1000), '+inf')
