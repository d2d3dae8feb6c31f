-- List a caller's files, newest first.
-- ARGV
--   caller
--   most    how many files
--   before  only files that came before this number: '(SEQ' or '+inf'
-- Returns {{id, seq, name, value, name, value, …}, …}.
local caller, most, before = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local found, offset, time = {}, 0, now()
while #found < most do
  local part = redis.call('ZREVRANGEBYSCORE', files_of(caller), before, '-inf', 'WITHSCORES', 'LIMIT', offset, most)
  for i = 1, #part, 2 do
    local record = redis.call('HMGET', file_of(part[i]), 'state', 'expires')
    if (record[1] == 'ready' or record[1] == 'awaited') and tonumber(record[2]) > time and #found < most then
      local row = redis.call('HGETALL', file_of(part[i]))
      table.insert(row, 1, whole(part[i + 1]))
      table.insert(row, 1, part[i])
      found[#found + 1] = row
    end
  end
  if #part < most * 2 then break end
  offset = offset + most
end
return found
