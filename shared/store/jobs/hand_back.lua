-- Give a running job back to the front of its priority, for the next claim; it has not used an attempt.
-- ARGV  1 job id  2 n  3 what it cost, see count_spend
-- and last the deployment, see settlement.lua
-- Returns 1 when it waits again, else 0.
local job = read(ARGV[1], 'state', 'n', 'prio', 'seq', 'caller', 'progress')
if job.state ~= 'active' or job.n ~= ARGV[2] then
  count_once(ARGV[1], ARGV[2], job.caller, ARGV[3])
  return 0
end
change_state(ARGV[1], job.caller, job.seq, 'active', 'waiting')
leave_slot(ARGV[1])
redis.call('HSET', record_of(ARGV[1]), 'n', job.n + 1)
redis.call('HDEL', record_of(ARGV[1]), 'slot')
redis.call('ZREM', ACTIVE, ARGV[1])
wait_in_line(ARGV[1], job.prio, job.seq)
count_once(ARGV[1], ARGV[2], job.caller, ARGV[3])
redis.call('HDEL', record_of(ARGV[1]), 'spent')
say_state(ARGV[1], 'waiting', job.progress)
return 1
