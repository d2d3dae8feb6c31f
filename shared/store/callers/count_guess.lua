-- Count a dashboard credential against its address before the credential is compared. Presenting the same credential
-- again is free; presenting more than `allowed` different ones locks the address, also for those presented before, so
-- that the count bounds what can be learned. The addresses that were active longest ago are forgotten above `most`.
-- ARGV
--   address
--   credential  digest of the credential
--   allowed     credentials allowed in a window
--   window_ms
--   most        addresses kept
-- Returns 0 when the credential may be compared, else the ms until the address is unlocked.
local address, credential, allowed, window_ms, most =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local key = guesses_of(address)
local time = now()
if redis.call('SCARD', key) > allowed then return redis.call('PTTL', key) end
if redis.call('SADD', key, credential) == 0 then return 0 end
local is_locked = redis.call('SCARD', key) > allowed
if is_locked or redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, window_ms) end
redis.call('ZADD', GUESSERS, time, address)
redis.call('ZREMRANGEBYSCORE', GUESSERS, '-inf', whole(time - window_ms))
redis.call('PEXPIRE', GUESSERS, window_ms)
while redis.call('ZCARD', GUESSERS) > most do
  redis.call('DEL', guesses_of(redis.call('ZPOPMIN', GUESSERS)[1]))
end
return is_locked and window_ms or 0
