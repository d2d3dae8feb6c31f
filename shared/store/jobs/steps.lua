-- Part of renew.lua and send_message.lua: the steps of a job.
local MOST_STEPS = 2000

-- Add a step of a new id, or only count it. Returns the bytes that it holds, also in the event stream.
local function add_step(id, step, data)
  if redis.call('HEXISTS', steps_of(id), '=' .. step) == 1 then return 0 end
  local number = redis.call('HINCRBY', record_of(id), 'steps', 1)
  if number > MOST_STEPS then return 0 end
  redis.call('HSET', steps_of(id), number, data, '=' .. step, number)
  publish(id, 'step', data)
  return 2 * #data
end

-- Change a step, if there is one of that id. Returns the bytes that it holds more.
local function end_step(id, step, data)
  local number = redis.call('HGET', steps_of(id), '=' .. step)
  if not number then return 0 end
  local before = redis.call('HSTRLEN', steps_of(id), number)
  redis.call('HSET', steps_of(id), number, data)
  publish(id, 'step', data)
  return 2 * #data - before
end
