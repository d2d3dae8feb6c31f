-- Renew the lease of a running job, with its progress, which never decreases, what its run publishes, and its cost. Fetch
-- its messages, and close them when the run ends and has all of them.
-- ARGV
--   job_id
--   number    claim number
--   progress  percent
--   lease_ms  ms until the lease ends
--   spend     the cost so far, JSON, see count_spend; '' when it has not changed
--   taken     messages that the run has
--   closes    '1' when the run ends: then it takes no message after those that it has
--   piece     number of the piece that is published
--   entries ...  the piece: kind, id of the step and data of each entry, see steps.py
-- Returns 0 when the claim no longer holds: the run has to be abandoned. Otherwise the messages that the run has not taken,
-- each as its id, its step as JSON and its text, a line each.
local id, number, progress, lease_ms, spend, taken, closes, piece, entries =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7], ARGV[8], rest(ARGV, 9)
local job = read(id, 'state', 'n', 'progress', 'caller', PIECE)
if job.state ~= 'active' or job.n ~= number then return 0 end
local published = number .. '.' .. piece
if entries[1] and job[PIECE] ~= published then -- a piece is sent again when the reply to it was lost
  redis.call('HSET', record_of(id), PIECE, published)
  local bytes = 0
  for i = 1, #entries, 3 do
    local kind, step, data = entries[i], entries[i + 1], entries[i + 2]
    if kind == 'delta' then
      publish(id, 'delta', data)
      bytes = bytes + #data
    elseif kind == 'step' then
      bytes = bytes + add_step(id, step, data)
    elseif kind == 'end' then
      bytes = bytes + end_step(id, step, data)
    else
      redis.call('HINCRBY', record_of(id), 'steps', data)
    end
  end
  add_bytes(id, job.caller, bytes)
end
if spend ~= '' then redis.call('HSET', record_of(id), 'spent', spend) end
local before = tonumber(job.progress)
if progress > before then
  redis.call('HSET', record_of(id), 'progress', progress)
  -- Only every fifth percent: the text itself shows the progress to subscribers.
  if math.floor(progress / 5) > math.floor(before / 5) then publish_state(id, 'active', progress) end
end
redis.call('ZADD', ACTIVE, whole(now() + lease_ms), id)
local messages = redis.call('LRANGE', messages_of(id), taken, -1)
if closes == '1' and not messages[1] then redis.call('HSET', record_of(id), 'closed', number) end
return messages
