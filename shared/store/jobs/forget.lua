-- Forget finished jobs now, with what the cache would answer with them.
-- ARGV  job ids
-- Returns how many were forgotten; jobs that have not ended stay.
local forgotten = 0
for _, id in ipairs(ARGV) do
  local job = read(id, 'caller', 'state', 'fp', 'finished')
  if job.finished then
    uncache(id, job.fp)
    forget(id, job)
    forgotten = forgotten + 1
  end
end
return forgotten
