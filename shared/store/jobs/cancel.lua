-- Cancel a job. This is the compare-and-set against a completion at the same time: the first one wins.
-- ARGV
--   job_id
--   caller
--   keep_ms  ms for which the job stays readable
-- Returns 'cancelled', 'finished' when the job had ended, or 'missing' when the caller has no such job.
local id, caller, keep_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local job = read(id, 'caller', 'state', 'n', 'seq', 'fp', 'expires')
local time = now()
if job.caller ~= caller or tonumber(job.expires or time + 1) <= time then return 'missing' end
if job.state == 'completed' or job.state == 'failed' or job.state == 'cancelled' then return 'finished' end
cancel_job(id, job, time, keep_ms)
return 'cancelled'
