-- Record that a worker is alive, and remove workers that died long ago.
-- ARGV  1 worker  2 its description, JSON  3 ms without an announcement after which a worker is removed
-- Returns nothing.
local time, worker = now(), cjson.decode(ARGV[2])
worker.at = time
redis.call('HSET', WORKERS, ARGV[1], cjson.encode(worker))
local known = redis.call('HGETALL', WORKERS)
for i = 1, #known, 2 do
  if cjson.decode(known[i + 1]).at < time - ARGV[3] then redis.call('HDEL', WORKERS, known[i]) end
end
