-- Part of every script: the pauses of a job that have ended, for operators.

-- Keep what a job was paused for, until when, and how that ended: `outcome` is allow, deny, expired or cancelled, `by` who
-- decided, or ''. The last ones are kept, one line each.
local function keep_pause(id, caller, time, outcome, by)
  local MOST_PAUSES, MOST_NAME = 20, 200
  local record = redis.call('HMGET', record_of(id), 'pause', 'pauses')
  local is_read, call = pcall(cjson.decode, record[1] or '')
  if not is_read then return end
  -- A name that is cut ends with a whole character.
  local tool = #call.tool > MOST_NAME and call.tool:sub(1, MOST_NAME):gsub('[\128-\255]+$', '') or call.tool
  local lines = {}
  for line in string.gmatch(record[2] or '', '[^\n]+') do lines[#lines + 1] = line end
  if #lines == MOST_PAUSES then table.remove(lines, 1) end
  lines[#lines + 1] = cjson.encode({
    id = call.id, kind = call.kind, tool = tool, askedAt = call.askedAt, endedAt = time,
    outcome = outcome, by = by,
  })
  local text = table.concat(lines, '\n')
  redis.call('HSET', record_of(id), 'pauses', text)
  add_bytes(id, caller, #text - #(record[2] or ''))
end
