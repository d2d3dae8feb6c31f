-- Part of scripts that end a claim: the files that its run has left. They are pending until then, so that those of a lost
-- worker are nobody's.

-- Make the files of a run ready, and keep their list with the job.
local function keep_outputs(id, caller, text)
  if is_revoked(caller) then return end
  each_output(cjson.decode(text), function(file)
    local record = redis.call('HMGET', file_of(file.file_id), 'state', 'caller', 'held', 'expires')
    if record[1] == 'pending' and record[2] == caller then
      make_ready(file.file_id, caller, record[3], record[4], file)
    end
  end)
  redis.call('SET', outputs_of(id), text)
  add_bytes(id, caller, #text)
end
