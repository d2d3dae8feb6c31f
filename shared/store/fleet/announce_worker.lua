-- Say that a worker is alive, and forget those that have not said so for long.
-- ARGV  1 worker  2 JSON of what it is  3 ms without a word after which a worker is forgotten
-- Returns nothing.
local time, worker = now(), cjson.decode(ARGV[2])
worker.at = time
redis.call('HSET', WORKERS, ARGV[1], cjson.encode(worker))
local known = redis.call('HGETALL', WORKERS)
for i = 1, #known, 2 do
  if cjson.decode(known[i + 1]).at < time - ARGV[3] then redis.call('HDEL', WORKERS, known[i]) end
end
