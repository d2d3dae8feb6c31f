-- Move a running job's progress, never down, tell what was written of the answer, and lengthen its lease.
-- ARGV  1 job id  2 n  3 progress  4 lease ms  5 number of the piece of text  6 the piece, or ''
--       7 what it has cost so far, see count_spend; '' when that has not changed
-- Returns 1 while the claim holds, else 0: the run is to be given up.
local job = read(ARGV[1], 'state', 'n', 'progress', 'said')
if job.state ~= 'active' or job.n ~= ARGV[2] then return 0 end
local piece = ARGV[2] .. '.' .. ARGV[5]
if ARGV[6] ~= '' and job.said ~= piece then -- the same piece comes again when the reply to it was lost
  redis.call('HSET', record_of(ARGV[1]), 'said', piece)
  say(ARGV[1], 'delta', ARGV[6])
end
if ARGV[7] ~= '' then redis.call('HSET', record_of(ARGV[1]), 'spent', ARGV[7]) end
local before, progress = tonumber(job.progress), tonumber(ARGV[3])
if progress > before then
  redis.call('HSET', record_of(ARGV[1]), 'progress', ARGV[3])
  -- Not each step: a stream tells more by what was written.
  if math.floor(progress / 5) > math.floor(before / 5) then say_state(ARGV[1], 'active', progress) end
end
redis.call('ZADD', ACTIVE, whole(now() + ARGV[4]), ARGV[1])
return 1
