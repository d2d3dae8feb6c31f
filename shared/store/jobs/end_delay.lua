-- Part of the scripts that end a delay.

-- Put a delayed job into the queue. One that continues a session gets its turn now, unless it has one since an earlier attempt.
local function end_delay(id)
  redis.call('ZREM', DELAYED, id)
  local job = redis.call('HMGET', record_of(id), 'caller', 'state', 'prio', 'seq', 'progress', 'tag', SESSION)
  if job[2] ~= 'delayed' then return end
  change_state(id, job[1], job[4], 'delayed', 'waiting')
  if job[7] and not redis.call('LPOS', turns_of(job[1], job[7]), id) then
    enqueue_or_park(id, job[1], job[7], job[3], job[4])
  else
    enqueue(id, job[1], job[3], job[6])
  end
  publish_state(id, 'waiting', job[5])
end
