-- Decide the call for which a job is paused. The first decision wins, also against a cancellation and the end of its time.
-- ARGV
--   job_id
--   caller    '' for any caller
--   ask       id of the decision
--   decision  the decision, JSON
--   outcome   allow or deny
--   by        who decides: caller, url or admin
-- Returns 'decided', 'missing' without such a job or decision, or 'over' when it was decided before, or no longer can be.
local id, caller, ask, decision, outcome, by = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local job = read(id, 'caller', 'state', 'seq', 'prio', 'tag', 'progress', 'ask', 'decisions', 'until', 'expires', 'req',
  'stopped', 'trace')
local time = now()
if not job.caller or (caller ~= '' and job.caller ~= caller) then return 'missing' end
if tonumber(job.expires or time + 1) <= time then return 'missing' end
if job.state == 'paused' and job.ask == ask then
  -- `expire_decisions.lua` ends it, or does so at this moment.
  if tonumber(job['until']) <= time or is_revoked(job.caller) then return 'over' end
  keep_pause(id, job.caller, time, outcome, by)
  resume_paused(id, job, decision, outcome)
  observe('decision', time - job.stopped, job.trace)
  return 'decided'
end
return string.find(' ' .. (job.decisions or '') .. ' ', ' ' .. ask .. ' ', 1, true) and 'over' or 'missing'
