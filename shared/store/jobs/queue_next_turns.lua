-- Put parked jobs into the queue whose turn in a session has come unnoticed, as after the deletion of the job before.
-- ARGV
--   most  how many jobs are looked at
-- Returns how many were put into the queue.
local most = tonumber(ARGV[1])
local queued = 0

local function is_over(id)
  return redis.call('EXISTS', record_of(id)) == 0 or redis.call('HEXISTS', record_of(id), 'finished') == 1
end

for _, id in ipairs(redis.call('ZRANGE', PARKED, 0, most - 1)) do
  local job = read(id, 'caller', SESSION)
  local session = job[SESSION]
  local turns = session and turns_of(job.caller, session)
  local first = turns and redis.call('LINDEX', turns, 0)
  -- A job that has ended, or is gone, gives up its turn.
  while first and first ~= id and is_over(first) do
    redis.call('LPOP', turns)
    first = redis.call('LINDEX', turns, 0)
  end
  if not session then
    redis.call('ZREM', PARKED, id)
  elseif first == id then
    enqueue_next_turn(job.caller, session)
    queued = queued + 1
  elseif not redis.call('LPOS', turns, id) then
    redis.call('RPUSH', turns, id)
  end
end
return queued
