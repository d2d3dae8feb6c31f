-- Delay a job after an attempt that failed for a reason that may pass.
-- ARGV
--   settlement  JSON:
--     job_id
--     number      claim number
--     delay_ms    ms until the job may start again
--     upstream    what the attempt showed of Claude, see note_upstream
--     code        error code
--     wait_ms     ms for which Claude accepts no request
--     spend       the cost of the run, JSON, see count_spend
--     seen        what was seen of the run, JSON, see note_attempt.lua
--     deployment  of the claim, see settlement.lua
-- Returns 1 when the job is delayed (also when the same settlement is sent again), 3 for a claim of another deployment,
-- else 0.
local settlement = cjson.decode(ARGV[1])
if is_foreign(settlement.deployment) then return 3 end
local id, number = settlement.job_id, whole(settlement.number)
local job = read(id, 'state', 'n', 'caller', 'seq')
if job.state == 'delayed' and tonumber(job.n) == settlement.number + 1 then return 1 end
if job.state ~= 'active' or job.n ~= number then
  count_once(id, number, job.caller, settlement.spend)
  return 0
end

local time = now()
redis.call('ZREM', ACTIVE, id) -- the first write frees memory, see end_job
note_upstream(settlement.upstream, settlement.code, settlement.wait_ms, time)
delay(id, job, time + settlement.delay_ms)
count_once(id, number, job.caller, settlement.spend)
redis.call('HDEL', record_of(id), 'spent')
redis.call('HINCRBY', record_of(id), 'attempts', 1)
note_attempt(id, time, settlement.code, 1, settlement.seen)
count('retries:' .. settlement.code)
return 1
