-- Put a job aside after an attempt that failed for a reason that may pass.
-- ARGV  1 job id  2 n  3 ms until it may start again  4 what it showed of Claude, see note_upstream
--       5 the error's code  6 ms for which Claude wants no request  7 what it cost, see count_spend
--       8 what was seen of the run, JSON, see note_attempt.lua
-- and last the deployment, see settlement.lua
-- Returns 1 when it is put aside (also when it is told so again), else 0.
local id = ARGV[1]
local job = read(id, 'state', 'n', 'caller', 'seq')
if job.state == 'delayed' and tonumber(job.n) == ARGV[2] + 1 then return 1 end
if job.state ~= 'active' or job.n ~= ARGV[2] then
  count_once(id, ARGV[2], job.caller, ARGV[7])
  return 0
end

local time = now()
redis.call('ZREM', ACTIVE, id) -- the first write frees memory, see end_job
note_upstream(ARGV[4], ARGV[5], tonumber(ARGV[6]), time)
delay(id, job, time + ARGV[3])
count_once(id, ARGV[2], job.caller, ARGV[7])
redis.call('HDEL', record_of(id), 'spent')
redis.call('HINCRBY', record_of(id), 'attempts', 1)
note_attempt(id, time, ARGV[5], 1, ARGV[8])
count('retries:' .. ARGV[5])
return 1
