-- List ids of a caller's jobs, or of everybody's, newest first, from each state's list no more than a page.
-- ARGV  1 caller, '' for all  2 how many  3 only those that came before this number, or '+inf'  4.. states
-- Returns {id, seq, id, seq, …}; jobs that are to be forgotten are not among them.
local found, time = {}, now()
for i = 4, #ARGV do
  local limit, offset = tonumber(ARGV[2]), 0
  while limit > 0 do
    local list = ARGV[1] == '' and all_of(ARGV[i]) or jobs_of(ARGV[1], ARGV[i])
    local part = redis.call('ZREVRANGEBYSCORE', list, ARGV[3], '-inf', 'WITHSCORES',
      'LIMIT', offset, limit)
    if #part == 0 then break end
    for j = 1, #part, 2 do
      local expires = tonumber(redis.call('HGET', record_of(part[j]), 'expires') or time + 1)
      if expires > time then
        found[#found + 1] = {part[j], tonumber(part[j + 1])}
        limit = limit - 1
      end
    end
    offset = offset + #part / 2
  end
end
table.sort(found, function(a, b) return a[2] > b[2] end)
local page = {}
for i = 1, math.min(#found, tonumber(ARGV[2])) do
  page[#page + 1] = found[i][1]
  page[#page + 1] = whole(found[i][2])
end
return page
