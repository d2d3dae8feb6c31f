-- Count the answers in the cache.
-- ARGV: none
-- Returns how many.
return redis.call('ZCOUNT', CACHED, whole(now()), '+inf')
