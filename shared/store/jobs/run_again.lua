-- Let a job that failed, or was cancelled, run anew: with its whole clock and all its attempts before it.
-- ARGV  1 job id
-- Returns 'waiting', 'missing', 'running' when it has not ended, 'completed' when there is nothing to mend, or
-- 'revoked' when its caller's key is revoked.
local id = ARGV[1]
local job = read(id, 'caller', 'state', 'prio', 'seq', 'n', 'fp', 'round', 'expires', 'talk', 'batch')
local time = now()
if not job.caller or tonumber(job.expires or time + 1) <= time then return 'missing' end
if job.state == 'completed' then return 'completed' end
if is_revoked(job.caller) then return 'revoked' end
if job.state ~= 'failed' and job.state ~= 'cancelled' then return 'running' end
-- What was to be told of the end that is undone is not true any more.
local function untell(of)
  for _, name in ipairs(redis.call('SMEMBERS', hooks_of(of))) do
    local hook = redis.call('HMGET', hook_of(name), 'state', 'host')
    if hook[1] == 'pending' then count('webhooks_pending', -1) end
    redis.call('HSET', hook_of(name), 'state', 'superseded')
    redis.call('ZREM', due_of(job.caller, hook[2]), name)
    due_by_its_first(job.caller, hook[2])
  end
end
untell(id)
if job.batch and redis.call('EXISTS', batch_of(job.batch)) == 1 then
  redis.call('HINCRBY', batch_of(job.batch), job.state, -1)
  redis.call('HDEL', batch_of(job.batch), 'cancelling') -- what was asked for was done, and this is asked for now
  if redis.call('HINCRBY', batch_of(job.batch), 'left', 1) == 1 then
    untell(job.batch)
    redis.call('HDEL', batch_of(job.batch), 'finished', 'expires')
    expire_keys(job.batch)
    redis.call('HINCRBY', batch_of(job.batch), 'round', 1)
    redis.call('ZREM', BATCHES_EXPIRE, job.batch)
    -- Those that stay ended wait for it again.
    for _, one in ipairs(jobs_in(job.batch, 0, -1)) do hold(one, time) end
  end
end
change_state(id, job.caller, job.seq, job.state, 'waiting')
redis.call('HDEL', record_of(id), 'error', 'started', 'finished', 'expires', 'slot', 'lost', 'absent', 'tried')
redis.call('HSET', record_of(id), 'n', job.n + 1, 'attempts', 0, 'progress', 0, 'round', (job.round or 0) + 1)
redis.call('HSET', record_of(id), 'paid', redis.call('HGET', record_of(id), 'cost') or 0)
redis.call('ZREM', EXPIRES, id)
expire_keys(id)
if job.fp and redis.call('EXISTS', flight_of(job.fp)) == 0 then redis.call('SET', flight_of(job.fp), id) end
line_up(id, job.caller, job.talk, job.prio, job.seq)
-- Whoever followed it to its end is told all of it anew, and others nothing of what was.
redis.call('DEL', events_of(id))
say(id, 'reset', '')
say_state(id, 'waiting', 0)
return 'waiting'
