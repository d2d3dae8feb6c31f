-- Count the cost of a run whose claim is over: the job was cancelled, given to another slot, or ended too late. A cancelled
-- job keeps the files that its run left.
-- ARGV
--   settlement  JSON:
--     job_id
--     number      claim number
--     caller
--     spend       the cost of the run, JSON, see count_spend
--     outputs     the files that the run left, JSON, see outputs.py, or ''
--     deployment  of the claim, see settlement.lua
-- Returns 1, or 3 for a claim of another deployment.
local settlement = cjson.decode(ARGV[1])
if is_foreign(settlement.deployment) then return 3 end
count_once(settlement.job_id, whole(settlement.number), settlement.caller, settlement.spend)
local id, outputs = settlement.job_id, settlement.outputs
local job = read(id, 'caller', 'state', 'n', 'schedule')
if job.schedule then note_schedule_run(id, job.schedule) end
local was_cancelled = job.state == 'cancelled' and tonumber(job.n) == settlement.number + 1
if was_cancelled and outputs ~= '' and redis.call('EXISTS', outputs_of(id)) == 0 then
  keep_outputs(id, job.caller, outputs)
end
if was_cancelled then release_pending(id) end
return 1
