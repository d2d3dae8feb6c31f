-- Delete finished jobs now, with the cache entries that they answer.
-- ARGV
--   job_ids ...
-- Returns how many were deleted; jobs that have not ended stay.
local job_ids = rest(ARGV, 1)
local forgotten = 0
for _, id in ipairs(job_ids) do
  local job = read(id, 'caller', 'state', 'fp', 'finished')
  if job.finished then
    uncache(id, job.fp)
    forget(id, job)
    forgotten = forgotten + 1
  end
end
return forgotten
