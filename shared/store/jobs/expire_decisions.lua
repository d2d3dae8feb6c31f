-- Decide the calls whose time is over, each as its job wants it: it is denied, or the job fails.
-- ARGV
--   most      how many jobs at most
--   decision  the denial, JSON
--   failure   the error of a job that fails, JSON
--   keep_ms   ms for which such a job stays readable
-- Returns how many were decided.
local most, decision, failure, keep_ms = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = now()
local due = redis.call('ZRANGEBYSCORE', AWAITING, '-inf', whole(time), 'LIMIT', 0, most)
for _, id in ipairs(due) do
  local job = read(id, 'caller', 'state', 'seq', 'prio', 'tag', 'progress', 'ask', 'late', 'n', 'fp', 'req')
  redis.call('ZREM', AWAITING, id)
  if job.state == 'paused' and job.late == 'fail' then
    end_job(id, job, 'failed', time, keep_ms, 'approval_expired')
    redis.call('HSET', record_of(id), 'error', failure)
  elseif job.state == 'paused' then
    keep_pause(id, job.caller, time, 'expired', '')
    resume_paused(id, job, decision, 'expired')
  end
end
return #due
