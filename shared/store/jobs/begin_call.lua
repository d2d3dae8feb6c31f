-- Let a run carry out the call that was allowed. Only one run may begin it: a run after a lost worker may not.
-- ARGV
--   job_id
--   number  claim number
--   ask     id of the decision
-- Returns 1 when this run may begin it (also when asked again), else 0.
local id, number, ask = ARGV[1], ARGV[2], ARGV[3]
local job = read(id, 'state', 'n', 'ask', 'called')
if job.state ~= 'active' or job.n ~= number or job.ask ~= ask then return 0 end
if not job.called then redis.call('HSET', record_of(id), 'called', number) end
return (job.called or number) == number and 1 or 0
