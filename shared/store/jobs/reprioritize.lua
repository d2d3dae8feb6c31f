-- Change the priority of a job that has not ended.
-- ARGV
--   job_id
--   priority  0 high, 1 normal, 2 low
-- Returns 'done', 'missing' or 'finished'.
local id, priority = ARGV[1], ARGV[2]
local job = read(id, 'state', 'caller', 'prio', 'finished')
if not job.state then return 'missing' end
if job.finished then return 'finished' end
change_priority(id, job.caller, job.prio, priority)
return 'done'
