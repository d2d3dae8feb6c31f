-- Renew the lease of a running job, with its progress, which never decreases, the next piece of its text, and its cost.
-- ARGV
--   job_id
--   number    claim number
--   progress  percent
--   lease_ms  ms until the lease ends
--   piece     number of the piece of text
--   text      the piece, or ''
--   spend     the cost so far, JSON, see count_spend; '' when it has not changed
-- Returns 1 while the claim holds, else 0: the run has to be abandoned.
local id, number, progress, lease_ms, piece, text, spend =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local job = read(id, 'state', 'n', 'progress', 'caller', PIECE)
if job.state ~= 'active' or job.n ~= number then return 0 end
local published = number .. '.' .. piece
if text ~= '' and job[PIECE] ~= published then -- a piece is sent again when the reply to it was lost
  redis.call('HSET', record_of(id), PIECE, published)
  publish(id, 'delta', text)
  add_bytes(id, job.caller, #text)
end
if spend ~= '' then redis.call('HSET', record_of(id), 'spent', spend) end
local before = tonumber(job.progress)
if progress > before then
  redis.call('HSET', record_of(id), 'progress', progress)
  -- Only every fifth percent: the text itself shows the progress to subscribers.
  if math.floor(progress / 5) > math.floor(before / 5) then publish_state(id, 'active', progress) end
end
redis.call('ZADD', ACTIVE, whole(now() + lease_ms), id)
return 1
