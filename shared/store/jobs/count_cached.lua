-- Count what the cache can answer now.
-- ARGV  none
-- Returns how many answers.
return redis.call('ZCOUNT', CACHED, whole(now()), '+inf')
