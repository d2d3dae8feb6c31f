-- Record that a worker is alive, and remove workers that died long ago.
-- ARGV
--   worker     name of the worker
--   entry      its description, JSON
--   forget_ms  ms without an announcement after which a worker is removed
-- Returns nothing.
local worker, entry, forget_ms = ARGV[1], cjson.decode(ARGV[2]), ARGV[3]
local time = now()
entry.at = time
redis.call('HSET', WORKERS, worker, cjson.encode(entry))
local known = redis.call('HGETALL', WORKERS)
for i = 1, #known, 2 do
  if cjson.decode(known[i + 1]).at < time - forget_ms then redis.call('HDEL', WORKERS, known[i]) end
end
