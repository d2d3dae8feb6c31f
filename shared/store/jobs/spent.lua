-- Count the cost of a run whose claim is over: the job was cancelled, given to another slot, or ended too late.
-- ARGV
--   settlement  JSON:
--     job_id
--     number      claim number
--     caller
--     spend       the cost of the run, JSON, see count_spend
--     deployment  of the claim, see settlement.lua
-- Returns 1, or 3 for a claim of another deployment.
local settlement = cjson.decode(ARGV[1])
if is_foreign(settlement.deployment) then return 3 end
count_once(settlement.job_id, whole(settlement.number), settlement.caller, settlement.spend)
return 1
