-- Pause the queue: no job starts. A queue that is paused already stays as it is.
-- ARGV
--   by  who pauses it
-- Returns nothing.
local by = ARGV[1]
redis.call('SET', PAUSED, cjson.encode({since = now(), by = by}), 'NX')
