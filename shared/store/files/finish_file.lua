-- Make a file ready, after all its bytes are stored. One that was deleted meanwhile is ready for its jobs alone. May be sent
-- twice.
-- ARGV
--   id
--   size        in bytes
--   sha256
--   media_type
--   kind        the attachable media type that its bytes have, or ''
-- Returns 'ready', or else 'gone' or 'revoked': the record was removed meanwhile, or the caller's key is revoked. Then the bytes
-- must go.
local id, size, sha256, media_type, kind = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local key = file_of(id)
local record = redis.call('HMGET', key, 'state', 'caller', 'held', 'expires', 'sha256')
if record[1] == 'ready' then return 'ready' end
if record[2] and is_revoked(record[2]) then return 'revoked' end
local for_jobs = record[1] == 'deleted' and file_in_use(id)
if for_jobs and record[5] then return 'ready' end
local file = {size = size, sha256 = sha256, media_type = media_type, kind = kind}
if for_jobs then
  fill_file(id, record[2], record[3], file)
elseif record[1] == 'pending' or record[1] == 'awaited' then
  make_ready(id, record[2], record[3], record[4], file)
else
  return 'gone'
end
return 'ready'
