-- Put before every script that ends an attempt: what the job's record keeps of it.
-- A line each in the field `tried`, oldest first: ms of start and end, code or `-`, 1 when it counts as an attempt, and what
-- was seen as JSON. Of those that do not count only the last is kept, so that a job that Claude refuses for days stays small.
local function note_attempt(id, time, code, counts, seen)
  local kept = {}
  local known = redis.call('HMGET', record_of(id), 'tried', 'begun')
  for line in string.gmatch(known[1] or '', '[^\n]+') do
    if string.find(line, '^%d+ %d+ %S+ 1 ') then kept[#kept + 1] = line end
  end
  local what = seen and seen ~= '' and seen or '{}'
  kept[#kept + 1] = table.concat({known[2] or whole(time), whole(time), code ~= '' and code or '-', counts, what}, ' ')
  redis.call('HSET', record_of(id), 'tried', table.concat(kept, '\n'))
end
