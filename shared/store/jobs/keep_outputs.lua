-- Part of scripts that end a claim: the files that its run has left. They are pending until then, so that those of a lost
-- worker are nobody's.

-- Rare: make the files of a run ready, and keep their list with the job.
local function keep_outputs(id, caller, text)
  if is_revoked(caller) then return end
  each_output(cjson.decode(text), function(file)
    local record = redis.call('HMGET', file_of(file.file_id), 'state', 'caller', 'held', 'expires')
    if record[1] == 'pending' and record[2] == caller then
      make_ready(file.file_id, caller, record[3], record[4], file)
    end
  end)
  redis.call('DEL', pending_of(id))
  redis.call('SET', outputs_of(id), text)
  add_bytes(id, caller, #text)
end

-- Rare: keep the working directory of a session: the file that a turn has made, or for longer the one that the session has.
-- Clients do not see it among their files.
local function keep_workspace(caller, session, file, keep_s)
  local old = redis.call('GET', workspace_of(caller, session))
  local id = file and file.file_id or old
  if not id then return end
  local record = redis.call('HMGET', file_of(id), 'state', 'caller', 'held', 'expires')
  if record[2] ~= caller or (record[1] ~= 'pending' and record[1] ~= 'kept') then return end
  if record[1] == 'pending' then
    make_ready(id, caller, record[3], record[4], file)
    redis.call('ZREM', files_of(caller), id)
  end
  local expires = whole(now() + keep_s * 1000)
  redis.call('HSET', file_of(id), 'state', 'kept', 'expires', expires)
  redis.call('ZADD', FILES_DUE, expires, id)
  redis.call('SET', workspace_of(caller, session), id, 'EX', keep_s)
  if id ~= old then
    redis.call('HINCRBY', file_of(id), 'sessions', 1)
    if old then leave_workspace(old) end
  end
end
