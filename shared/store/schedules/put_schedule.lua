-- Create a schedule, or replace its definition if that is still the one that was read. Safe to send twice.
-- ARGV
--   schedule  JSON:
--     schedule_id
--     caller
--     revision      of the definition that was read, 0 to create
--     idempotency   name of the key's record, '' without a key
--     request_id
--     body          hash of the normalized body
--     name
--     cron
--     timezone
--     overlap       skip or queue
--     catch_up      none or last
--     next          ms of the next due time, 0 while it is paused or when there is none
--     paused        why it is paused, '' while it is not
--     webhook_url   of its query, '' for no webhook
--     webhook_host
--     label         KEY of the usage of its runs
--     max_bytes     bytes that the caller may hold in Redis, 0 for any number
--   query     JSON of the query
-- Returns {kind, id} with kind: stored, replayed, mismatch, caller_bytes, revoked, or changed when the revision is another one
-- or the schedule is gone.
local schedule, query = cjson.decode(ARGV[1]), ARGV[2]
local id, caller, time = schedule.schedule_id, schedule.caller, now()
local record = schedule_of(id)
-- For the record and its entries in the lists.
local OWN_BYTES = 1024
if is_revoked(caller) then return {'revoked', ''} end
local known = redis.call('HMGET', record, 'caller', 'rev', 'bytes', 'size', 'paused', 'failures')
local revision = tonumber(known[2] or 0)
if schedule.revision == 0 then
  if revision > 0 then return {'stored', id} end -- sent again after a lost reply
  local first = recall(schedule)
  if first and first.body ~= schedule.body then return {'mismatch', ''} end
  if first then return {'replayed', first.job} end
elseif known[1] ~= caller or revision ~= schedule.revision then
  return {'changed', ''}
end
local size = #query + #schedule.name + #schedule.webhook_url + OWN_BYTES
local more = size - (known[4] or 0)
if more > 0 and lacks_room(caller, {caller_max_bytes = schedule.max_bytes}, more) then return {'caller_bytes', ''} end
if schedule.revision == 0 then
  local seq = redis.call('INCR', SEQUENCE)
  redis.call('HSET', record, 'v', 1, 'caller', caller, 'created', whole(time), 'seq', seq, 'label', schedule.label)
  redis.call('ZADD', ALL_SCHEDULES, seq, id)
  redis.call('ZADD', schedules_of(caller), seq, id)
  remember(schedule, 'queued', id, time)
  expire_keys(id, time)
  redis.call('DEL', keys_of(id)) -- the record of the key outlives the schedule
end
local resumed = schedule.paused == '' and (known[5] or '') ~= ''
redis.call('HSET', record, 'rev', revision + 1, 'name', schedule.name, 'cron', schedule.cron, 'tz', schedule.timezone,
  'overlap', schedule.overlap, 'catchup', schedule.catch_up, 'next', whole(schedule.next), 'paused', schedule.paused,
  'hook', schedule.webhook_url, 'host', schedule.webhook_host, 'query', query, 'updated', whole(time), 'size', size,
  'bytes', (known[3] or 0) + more, 'failures', resumed and 0 or known[6] or 0)
add_to_caller(caller, more)
if schedule.next > 0 then
  redis.call('ZADD', SCHEDULES_DUE, whole(schedule.next), id)
else
  redis.call('ZREM', SCHEDULES_DUE, id)
end
return {'stored', id}
