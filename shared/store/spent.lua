-- Count what a run cost whose claim is over: it was cancelled, given to another slot, or ended too late. Counted once:
-- what was counted when the claim was taken away is taken off.
-- ARGV  1 job id  2 n  3 caller  4 what it cost, see count_spend
-- Returns 1.
local marker = spent_of(ARGV[1], ARGV[2])
local before = redis.call('GET', marker)
count_spend(ARGV[1], ARGV[3], ARGV[4], before or '')
redis.call('SET', marker, ARGV[4], 'EX', 86400)
return 1
