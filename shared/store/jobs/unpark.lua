-- Let jobs go on whose turn in a conversation has come without anybody telling them.
-- ARGV  1 how many at most
-- Returns how many do.
local released = 0

local function is_over(id)
  return redis.call('EXISTS', record_of(id)) == 0 or redis.call('HEXISTS', record_of(id), 'finished') == 1
end

for _, id in ipairs(redis.call('ZRANGE', PARKED, 0, ARGV[1] - 1)) do
  local job = read(id, 'caller', 'talk')
  local turns = job.talk and turns_of(job.caller, job.talk)
  local first = turns and redis.call('LINDEX', turns, 0)
  -- One that is over, or gone, has no turn any more.
  while first and first ~= id and is_over(first) do
    redis.call('LPOP', turns)
    first = redis.call('LINDEX', turns, 0)
  end
  if not job.talk then
    redis.call('ZREM', PARKED, id)
  elseif first == id then
    next_turn(job.caller, job.talk)
    released = released + 1
  elseif not redis.call('LPOS', turns, id) then
    redis.call('RPUSH', turns, id)
  end
end
return released
