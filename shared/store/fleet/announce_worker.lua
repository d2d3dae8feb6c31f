-- Record that a worker is alive, and remove workers that have not been for long.
-- ARGV
--   worker     name of the worker
--   entry      what the worker is, JSON
--   forget_ms  ms without an announcement after which a worker is removed
-- Returns nothing.
local worker, entry, forget_ms = ARGV[1], ARGV[2], ARGV[3]
local time, found = now(), cjson.decode(entry)
found.at = time
redis.call('HSET', WORKERS, worker, cjson.encode(found))
local known = redis.call('HGETALL', WORKERS)
for i = 1, #known, 2 do
  if cjson.decode(known[i + 1]).at < time - forget_ms then redis.call('HDEL', WORKERS, known[i]) end
end
