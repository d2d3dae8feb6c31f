-- List ids of a caller's jobs, newest first; from each state's list no more than a page.
-- ARGV
--   caller
--   schedule    only jobs that this schedule made, '' for any
--   most        how many jobs
--   before      only jobs that came before this number: '(SEQ' or '+inf'
--   states ...
-- Returns {id, seq, id, seq, …}, without jobs whose time is over.
local caller, schedule, most, before, states = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], rest(ARGV, 5)
local found, time = {}, now()

-- Add up to `most` jobs of a list that are not over and, of a schedule's jobs, in one of the states.
local wanted = {}
for _, state in ipairs(states) do wanted[state] = true end
local function add(list)
  local left, offset = most, 0
  while left > 0 do
    local part = redis.call('ZREVRANGEBYSCORE', list, before, '-inf', 'WITHSCORES', 'LIMIT', offset, left)
    if #part == 0 then break end
    for j = 1, #part, 2 do
      local job = redis.call('HMGET', record_of(part[j]), 'expires', 'state', 'caller')
      local is_wanted = schedule == '' or (wanted[job[2]] and job[3] == caller)
      if is_wanted and tonumber(job[1] or time + 1) > time then
        found[#found + 1] = {part[j], tonumber(part[j + 1])}
        left = left - 1
      end
    end
    offset = offset + #part / 2
  end
end

if schedule ~= '' then
  add(schedule_jobs_of(schedule))
else
  for _, state in ipairs(states) do add(jobs_of(caller, state)) end
end
table.sort(found, function(a, b) return a[2] > b[2] end)
local page = {}
for i = 1, math.min(#found, most) do
  page[#page + 1] = found[i][1]
  page[#page + 1] = whole(found[i][2])
end
return page
