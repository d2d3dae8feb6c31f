-- Part of every script: what is kept of a paused job's runs, until the job goes on or ends.
-- Call a function with the names of a session's keys, after its prefix, and the commands that read and write each.
local function each_transcript_key(transcript, visit)
  for _, subpath in ipairs(redis.call('SMEMBERS', transcript .. ':subs')) do
    visit('/' .. subpath, 'LRANGE', 'RPUSH')
    visit('/' .. subpath .. ':ids', 'SMEMBERS', 'SADD')
  end
  visit('', 'LRANGE', 'RPUSH')
  visit(':ids', 'SMEMBERS', 'SADD')
  visit(':subs', 'SMEMBERS', 'SADD')
end

-- Rare: move the transcripts of one name behind those of another, which then expire after `keep_s`, or never without it. Returns
-- how many bytes.
local function append_transcript(from, to, keep_s)
  local bytes = 0
  each_transcript_key(from, function(name, read_all, write)
    local lines = redis.call(read_all, from .. name, unpack(read_all == 'LRANGE' and {0, -1} or {}))
    for _, line in ipairs(lines) do bytes = bytes + #line end
    for first = 1, #lines, 1000 do
      redis.call(write, to .. name, unpack(lines, first, math.min(first + 999, #lines)))
    end
    redis.call('DEL', from .. name)
    if keep_s then redis.call('EXPIRE', to .. name, keep_s) end
  end)
  return bytes
end

-- Let a paused job run again with a decision, JSON, and count its outcome. Its clock goes on with the next claim.
local function resume_paused(id, job, decision, outcome)
  count('decisions:' .. outcome)
  redis.call('ZREM', AWAITING, id)
  change_state(id, job.caller, job.seq, 'paused', 'waiting', 'decision', decision)
  redis.call('HDEL', record_of(id), 'token', 'until', 'called')
  withdraw_webhook(job.caller, hook_name(job.req, job.ask))
  enqueue(id, job.caller, job.prio, job.tag)
  publish_state(id, 'waiting', job.progress)
end
