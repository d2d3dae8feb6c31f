-- Give a running job back to the front of its priority, for the next claim; the attempt does not count.
-- ARGV
--   settlement  JSON:
--     job_id
--     number      claim number
--     spend       the cost of the run, JSON, see count_spend
--     deployment  of the claim, see settlement.lua
-- Returns 1 when the job waits again, 3 for a claim of another deployment, else 0.
local settlement = cjson.decode(ARGV[1])
if is_foreign(settlement.deployment) then return 3 end
local id, number = settlement.job_id, whole(settlement.number)
local job = read(id, 'state', 'n', 'prio', 'seq', 'caller', 'progress', 'tag')
if job.state ~= 'active' or job.n ~= number then
  count_once(id, number, job.caller, settlement.spend)
  return 0
end
change_state(id, job.caller, job.seq, 'active', 'waiting')
leave_slot(id)
release_pending(id)
redis.call('HSET', record_of(id), 'n', job.n + 1)
redis.call('HDEL', record_of(id), 'slot')
redis.call('ZREM', ACTIVE, id)
enqueue(id, job.caller, job.prio, job.tag)
count_once(id, number, job.caller, settlement.spend)
redis.call('HDEL', record_of(id), 'spent')
publish_state(id, 'waiting', job.progress)
return 1
