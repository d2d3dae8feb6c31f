-- Append lines to a transcript, each once: a line whose uuid is known is there already.
-- ARGV
--   transcript  name of the transcript's list
--   subpaths    name of the set of the session's subpaths, '' for the main transcript
--   subpath     subpath of the transcript, or ''
--   keep_s      s for which the transcript is kept
--   lines ...   two for each line: its uuid or '', and the line, JSON
-- Returns 1.
local transcript, subpaths, subpath, keep_s, lines = ARGV[1], ARGV[2], ARGV[3], ARGV[4], rest(ARGV, 5)
for i = 1, #lines, 2 do
  if lines[i] == '' or redis.call('SADD', transcript .. ':ids', lines[i]) == 1 then
    redis.call('RPUSH', transcript, lines[i + 1])
  end
end
if subpaths ~= '' then
  redis.call('SADD', subpaths, subpath)
  redis.call('EXPIRE', subpaths, keep_s)
end
redis.call('EXPIRE', transcript, keep_s)
redis.call('EXPIRE', transcript .. ':ids', keep_s)
return 1
