-- Part of the scripts that end an attempt: what the job's record keeps of the attempt.

-- Append a line to the field `tried`: ms of start and end, error code or `-`, 1 when the attempt counts, and what was seen of
-- the run as JSON. Of attempts that do not count only the last is kept, so that a job that Claude refuses for days stays small.
local function note_attempt(id, time, code, counts, seen)
  local lines = {}
  local record = redis.call('HMGET', record_of(id), 'tried', 'begun')
  for line in string.gmatch(record[1] or '', '[^\n]+') do
    if string.find(line, '^%d+ %d+ %S+ 1 ') then lines[#lines + 1] = line end
  end
  local what = seen and seen ~= '' and seen or '{}'
  lines[#lines + 1] =
    table.concat({record[2] or whole(time), whole(time), code ~= '' and code or '-', counts, what}, ' ')
  redis.call('HSET', record_of(id), 'tried', table.concat(lines, '\n'))
end
