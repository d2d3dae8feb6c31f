-- List ids of a caller's jobs, or of all jobs, newest first; from each state's list no more than a page.
-- ARGV
--   caller      '' for all callers
--   most        how many jobs
--   before      only jobs that came before this number: '(SEQ' or '+inf'
--   states ...
-- Returns {id, seq, id, seq, …}, without jobs whose time is over.
local caller, most, before, states = ARGV[1], tonumber(ARGV[2]), ARGV[3], rest(ARGV, 4)
local found, time = {}, now()
for _, state in ipairs(states) do
  local left, offset = most, 0
  while left > 0 do
    local list = caller == '' and all_of(state) or jobs_of(caller, state)
    local part = redis.call('ZREVRANGEBYSCORE', list, before, '-inf', 'WITHSCORES', 'LIMIT', offset, left)
    if #part == 0 then break end
    for j = 1, #part, 2 do
      local expires = tonumber(redis.call('HGET', record_of(part[j]), 'expires') or time + 1)
      if expires > time then
        found[#found + 1] = {part[j], tonumber(part[j + 1])}
        left = left - 1
      end
    end
    offset = offset + #part / 2
  end
end
table.sort(found, function(a, b) return a[2] > b[2] end)
local page = {}
for i = 1, math.min(#found, most) do
  page[#page + 1] = found[i][1]
  page[#page + 1] = whole(found[i][2])
end
return page
