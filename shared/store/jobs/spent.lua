-- Count what a run cost whose claim is over: it was cancelled, given to another slot, or ended too late.
-- ARGV  1 job id  2 n  3 caller  4 what it cost, see count_spend
-- and last the deployment, see settlement.lua
-- Returns 1.
count_once(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return 1
