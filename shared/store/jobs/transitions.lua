-- Part of every script: the state transitions of jobs.

-- Append an event to a job's event stream, and wake its subscribers.
local function publish(id, kind, data)
  redis.call('XADD', events_of(id), 'MAXLEN', '~', MOST_EVENTS, '*', 'k', kind, 'd', data)
  redis.call('PUBLISH', channel_of(id), kind == 'done' and 'end' or '')
end

local function publish_state(id, state, progress)
  publish(id, 'state', '{"state":"' .. state .. '","progress":' .. whole(progress) .. '}')
end

-- Wake a slot that waits for a job. There are at most as many tokens as slots could be idle.
local function wake()
  if redis.call('LLEN', WAKE) < 64 then redis.call('LPUSH', WAKE, 1) end
end

local function enqueue_at(id, priority, tag, needs_sandbox)
  local place = score_of(priority, tag)
  redis.call('ZADD', WAITING, place, id)
  if not needs_sandbox then redis.call('ZADD', PLAIN, place, id) end
  wake()
end

-- Put a job into the queue: at the place of its `tag`, or without one behind its caller's other jobs of the priority.
local function enqueue(id, caller, priority, tag)
  if not tag then
    tag = next_tag(caller, priority)
    redis.call('HSET', record_of(id), 'tag', whole(tag))
  end
  enqueue_at(id, priority, tag, redis.call('HEXISTS', record_of(id), 'sandbox') == 1)
end

-- Put a job into the queue, or park it until its turn in the session that it continues.
local function enqueue_or_park(id, caller, session, priority, seq)
  if session and redis.call('RPUSH', turns_of(caller, session), id) > 1 then
    redis.call('ZADD', PARKED, seq, id)
  else
    enqueue(id, caller, priority)
  end
end

-- Rare: hold a job that was next, until one of its caller's running jobs leaves its slot. It keeps its place, as a score of
-- the queue.
local function hold(id, caller, place)
  redis.call('ZADD', HELD, place, id)
  redis.call('ZADD', held_of(caller), place, id)
  redis.call('SADD', HOLDING, caller)
end

-- Rare: change the priority of a job. If it waits, it gets a place behind its caller's other jobs of the new priority.
local function change_priority(id, caller, from, to)
  if tonumber(from) == tonumber(to) then return end
  redis.call('HSET', record_of(id), 'prio', to)
  redis.call('HDEL', record_of(id), 'tag')
  if redis.call('ZSCORE', WAITING, id) then
    leave_queue(id, caller)
    enqueue(id, caller, to)
  elseif redis.call('ZSCORE', HELD, id) then
    leave_queue(id, caller)
    local tag = next_tag(caller, to)
    redis.call('HSET', record_of(id), 'tag', whole(tag))
    hold(id, caller, score_of(to, tag))
  end
end

-- Rare: put the job whose turn in a session it is into the queue, if it is parked.
local function enqueue_next_turn(caller, session)
  local id = redis.call('LINDEX', turns_of(caller, session), 0)
  if id and redis.call('ZREM', PARKED, id) == 1 then
    enqueue(id, caller, redis.call('HGET', record_of(id), 'prio'))
  end
end

-- Return how many more jobs a caller of that policy may run; `most` is the limit of the deployment, 0 for none.
local function room_to_run(caller, most, policy)
  most = tonumber(policy.maxActive or most)
  return most > 0 and most - redis.call('ZCARD', jobs_of(caller, 'active')) or math.huge
end

-- Rare: put a job that was held back into the queue.
local function enqueue_held(id, caller)
  redis.call('ZREM', HELD, id)
  local place = redis.call('HMGET', record_of(id), 'prio', 'tag')
  enqueue(id, caller, place[1], place[2])
end

-- Put the first of a caller's held jobs back into the queue. Returns whether there was one.
local function release_held(caller)
  local id = redis.call('ZPOPMIN', held_of(caller))[1]
  if id then enqueue_held(id, caller) end
  return id ~= nil
end

-- Change a job's state in its record and in the lists, and other fields of the record with it.
local function change_state(id, caller, seq, from, to, ...)
  redis.call('ZREM', jobs_of(caller, from), id)
  redis.call('ZREM', all_of(from), id)
  redis.call('HSET', record_of(id), 'state', to, ...)
  -- A job that has run waits again from now on.
  if from ~= 'waiting' and from ~= 'delayed' and (to == 'waiting' or to == 'delayed') then
    redis.call('HSET', record_of(id), 'since', whole(now()))
  end
  redis.call('ZADD', jobs_of(caller, to), seq, id)
  redis.call('ZADD', all_of(to), seq, id)
  if from == 'active' then release_held(caller) end
end

-- Take a job off the slot that runs it.
local function leave_slot(id)
  local slot = redis.call('HGET', record_of(id), 'slot')
  if slot and redis.call('HGET', RUNNING, slot) == id then redis.call('HDEL', RUNNING, slot) end
end

-- Make a caller's webhook due at a time; its host and its caller are due with the earliest of theirs.
local function deliver_at(name, caller, host, due)
  redis.call('ZADD', due_of(caller, host), whole(due), name)
  redis.call('ZADD', due_hosts_of(caller), 'LT', whole(due), host)
  redis.call('ZADD', DUE, 'LT', whole(due), caller)
end

-- Make a caller's host due with the earliest of its webhooks, or not at all, and the caller with its earliest host.
local function due_by_its_first(caller, host)
  local function by_first(list, above, name)
    local first = redis.call('ZRANGE', list, 0, 0, 'WITHSCORES')
    if first[1] then redis.call('ZADD', above, first[2], name) else redis.call('ZREM', above, name) end
  end
  by_first(due_of(caller, host), due_hosts_of(caller), host)
  by_first(due_hosts_of(caller), DUE, caller)
end

-- Rare: delete a webhook, also from the lists of due webhooks.
local function forget_hook(name)
  local hook = redis.call('HMGET', hook_of(name), 'state', 'host', 'caller')
  if hook[1] == 'pending' then count('webhooks_pending', -1) end
  if hook[2] then
    redis.call('ZREM', due_of(hook[3], hook[2]), name)
    due_by_its_first(hook[3], hook[2])
  end
  redis.call('DEL', hook_of(name), attempts_of(name))
end

-- Delete all webhooks of a job, or of a batch.
local function forget_hooks(id)
  for _, name in ipairs(redis.call('SMEMBERS', hooks_of(id))) do forget_hook(name) end
  redis.call('DEL', hooks_of(id))
end

-- Set when the idempotency records of a job, or of a batch, expire. While it has not ended (`time` is nil) they stay. Once it
-- has, they expire a day after the first answer, but not within an hour of the end: a client may still retry.
local function expire_keys(id, time)
  for _, name in ipairs(redis.call('SMEMBERS', keys_of(id))) do
    local record = redis.call('HMGET', name, 'job', 'at')
    if record[1] == id then -- a key that expired may name another job by now
      local left = time and math.max(record[2] + DAY - time, HOUR) or KEPT_DAYS * 1000
      redis.call('PEXPIRE', name, whole(left))
    end
  end
end

-- Call a function with each file of a run's outputs.
local function each_output(outputs, visit)
  for _, file in ipairs(outputs.artifacts) do visit(file) end
  if outputs.patch ~= cjson.null then visit(outputs.patch) end
end

-- Delete the outputs of a job; the reaper removes their bytes.
local function forget_outputs(id)
  local text = redis.call('GET', outputs_of(id))
  if not text then return end
  each_output(cjson.decode(text), function(file)
    local record = redis.call('HMGET', file_of(file.file_id), 'state', 'caller')
    if record[1] == 'ready' then
      redis.call('ZREM', files_of(record[2]), file.file_id)
      redis.call('HSET', file_of(file.file_id), 'state', 'deleted')
      redis.call('ZADD', FILES_DUE, whole(now()), file.file_id)
    end
  end)
  redis.call('DEL', outputs_of(id))
end

-- Delete a finished job: every key and every index entry of it, in one step.
local function forget(id, job)
  if job.caller then
    redis.call('ZREM', jobs_of(job.caller, job.state), id)
    redis.call('ZREM', all_of(job.state), id)
  end
  if job.caller then forget_bytes(id, job.caller) end
  forget_hooks(id)
  forget_outputs(id)
  local schedule = redis.call('HGET', record_of(id), 'schedule')
  if schedule then redis.call('ZREM', schedule_jobs_of(schedule), id) end
  redis.call('DEL', record_of(id), input_of(id), output_of(id), joined_of(id), events_of(id), keys_of(id), pending_of(id),
    steps_of(id), messages_of(id))
  redis.call('ZREM', EXPIRES, id)
end

-- Clear the cache entry that a job answers.
local function uncache(id, fingerprint)
  if fingerprint and redis.call('HGET', cache_of(fingerprint), 'job') == id then
    redis.call('DEL', cache_of(fingerprint))
    redis.call('ZREM', CACHED, fingerprint)
  end
end

-- Rare: add a webhook to the outbox, once, in the transaction that makes its event true; nothing for a submission without a URL.
-- `id` is the job, or the batch, that the webhook is deleted with; '' for a webhook that is deleted when it is done. `trace` is
-- the trace context of the submission, '' or nil for none.
local function add_webhook(id, caller, name, request, url, host, meta, event, time, trace)
  if not url or url == '' or redis.call('EXISTS', hook_of(name)) == 1 then return end
  redis.call('HSET', hook_of(name), 'job', id, 'caller', caller, 'req', request, 'url', url, 'host', host, 'meta', meta,
    'event', event, 'at', whole(time), 'state', 'pending', 'n', 0, 'tries', 0, 'attempt', 0)
  if trace and trace ~= '' then redis.call('HSET', hook_of(name), 'trace', trace) end
  if id ~= '' then redis.call('SADD', hooks_of(id), name) end
  count('webhooks_pending')
  deliver_at(name, caller, host, time)
  redis.call('PUBLISH', WEBHOOK_DUE, '')
end

-- Return the name of a submission's webhook. A job that runs again ends again, in another `round`, with another event.
local function hook_name(request, round) return round and request .. '.' .. round or request end

-- Add the webhooks of all submissions of a job that has ended.
local function add_webhooks(id, caller, state, time)
  local first = redis.call('HMGET', record_of(id), 'req', 'hook', 'host', 'meta', 'round', 'trace')
  local event = 'query.' .. state
  add_webhook(id, caller, hook_name(first[1], first[5]), first[1], first[2], first[3], first[4] or '', event, time, first[6])
  local joined = redis.call('HGETALL', joined_of(id))
  for i = 1, #joined, 2 do
    -- The last line is there with a trace alone. The metadata is JSON, on one line.
    local url, host, meta, trace = joined[i + 1]:match('^(.-)\n(.-)\n([^\n]*)\n?(.*)$')
    add_webhook(id, caller, hook_name(joined[i], first[5]), joined[i], url, host, meta, event, time, trace)
  end
end

-- Rare: withdraw a webhook whose event is no longer true, unless it is delivered, or on its way.
local function withdraw_webhook(caller, name)
  local hook = redis.call('HMGET', hook_of(name), 'state', 'host', 'leased')
  if hook[1] ~= 'pending' or tonumber(hook[3] or 0) > now() then return end
  count('webhooks_pending', -1)
  redis.call('HSET', hook_of(name), 'state', 'superseded')
  redis.call('ZREM', due_of(caller, hook[2]), name)
  due_by_its_first(caller, hook[2])
end

-- List ids of a batch's jobs, in the order of its queries, from one position to another, both from 0.
local function jobs_in(batch, first, last)
  local ids = redis.call('LRANGE', batch_jobs_of(batch), first, last)
  for i, entry in ipairs(ids) do ids[i] = entry:match('^%S+') end
  return ids
end

-- Keep a finished job until the last of its batch has ended.
local function keep_for_batch(id, time)
  if redis.call('ZREM', EXPIRES, id) == 1 then
    redis.call('HSET', record_of(id), 'expires', whole(time + 10 * 365 * DAY))
  end
end

-- Rare: count a finished job of a batch. Its result is kept until the last job has ended, and then as long as that one's.
local function end_in_batch(batch, id, state, time, keep_ms)
  if redis.call('EXISTS', batch_of(batch)) == 0 then return end
  keep_for_batch(id, time)
  redis.call('HINCRBY', batch_of(batch), state, 1)
  if redis.call('HINCRBY', batch_of(batch), 'left', -1) > 0 then return end
  local expires = whole(time + keep_ms)
  redis.call('HSET', batch_of(batch), 'finished', whole(time), 'expires', expires)
  redis.call('ZADD', BATCHES_EXPIRE, expires, batch)
  expire_keys(batch, time)
  for _, one in ipairs(jobs_in(batch, 0, -1)) do
    -- A job that an operator has deleted must not come back as a record of one field.
    if redis.call('HEXISTS', record_of(one), 'caller') == 1 then
      redis.call('HSET', record_of(one), 'expires', expires)
      redis.call('ZADD', EXPIRES, expires, one)
    end
  end
  local record = redis.call('HMGET', batch_of(batch), 'caller', 'req', 'hook', 'host', 'round', 'trace')
  local name = hook_name(record[2], record[5])
  add_webhook(batch, record[1], name, record[2], record[3], record[4], '', 'batch.ended', time, record[6])
end

-- Rare: stop keeping a session's file; delete it when no session has it.
local function leave_workspace(id)
  if redis.call('HINCRBY', file_of(id), 'sessions', -1) > 0 then return end
  redis.call('HSET', file_of(id), 'state', 'deleted')
  redis.call('ZADD', FILES_DUE, whole(now()), id)
end

-- Return for how many ms the clock of a job has stood, given these fields of its record.
local function time_stood(stood, stopped, time) return (stood or 0) + (stopped and time - stopped or 0) end

-- Rare: delay a job that ran until `due`, for its next claim.
local function delay(id, job, due)
  change_state(id, job.caller, job.seq, 'active', 'delayed')
  leave_slot(id)
  redis.call('HSET', record_of(id), 'n', job.n + 1)
  redis.call('HDEL', record_of(id), 'slot')
  redis.call('ZREM', ACTIVE, id)
  redis.call('HSET', record_of(id), 'due', whole(due))
  redis.call('ZADD', DELAYED, whole(due), id)
  publish_state(id, 'delayed', redis.call('HGET', record_of(id), 'progress'))
end

-- Note what an attempt showed of Claude: 'answered', 'refused' (our credentials or our account), or 'limited', which holds
-- the whole fleet for `wait` ms. Returns whether the queue was already held by the refusals before this one.
local function note_upstream(shows, code, wait, time)
  if shows == 'answered' then redis.call('DEL', UPSTREAM) end
  if shows == 'limited' and wait > math.max(redis.call('PTTL', NOT_BEFORE), 0) then
    local since = string.match(redis.call('GET', NOT_BEFORE) or '', ' (%d+)$') or whole(time)
    redis.call('SET', NOT_BEFORE, code .. ' ' .. since, 'PX', whole(wait))
  end
  if shows ~= 'refused' then return false end
  local refused = redis.call('HINCRBY', UPSTREAM, 'refused', 1)
  redis.call('HSET', UPSTREAM, 'code', code)
  if refused == HELD_AFTER then
    redis.call('HSET', UPSTREAM, 'since', whole(time), 'probe', whole(time + PROBE_EVERY))
  end
  return refused > HELD_AFTER
end

-- Read fields of a job's record by name.
local function read(id, ...)
  local names, values, job = {...}, redis.call('HMGET', record_of(id), ...), {}
  for i, name in ipairs(names) do job[name] = values[i] or nil end
  return job
end
