-- Add lines to a transcript, each once: one that comes again under its uuid is there already.
-- ARGV  1 the transcript's list  2 set of the conversation's subpaths, '' for the main transcript  3 subpath
--       4 s to keep it  5, 6 … uuid or '', and line, JSON
for i = 5, #ARGV, 2 do
  if ARGV[i] == '' or redis.call('SADD', ARGV[1] .. ':ids', ARGV[i]) == 1 then
    redis.call('RPUSH', ARGV[1], ARGV[i + 1])
  end
end
if ARGV[2] ~= '' then
  redis.call('SADD', ARGV[2], ARGV[3])
  redis.call('EXPIRE', ARGV[2], ARGV[4])
end
redis.call('EXPIRE', ARGV[1], ARGV[4])
redis.call('EXPIRE', ARGV[1] .. ':ids', ARGV[4])
return 1
