-- Cancel a job: this is the compare-and-set that a completion at the same time can lose, or win.
-- ARGV  1 job id  2 caller  3 ms to keep it
-- Returns 'cancelled', 'finished' when it had ended, or 'missing' when the caller has no such job.
local id = ARGV[1]
local job = read(id, 'caller', 'state', 'n', 'seq', 'fp', 'expires')
local time = now()
if job.caller ~= ARGV[2] or tonumber(job.expires or time + 1) <= time then return 'missing' end
if job.state == 'completed' or job.state == 'failed' or job.state == 'cancelled' then return 'finished' end
cancel_job(id, job, time, tonumber(ARGV[3]))
return 'cancelled'
