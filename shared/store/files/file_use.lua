-- Part of scripts about files: which jobs need them.

-- Return whether a job that has not ended was submitted with a file; drop those that have.
local function file_in_use(id)
  for _, job_id in ipairs(redis.call('SMEMBERS', file_jobs_of(id))) do
    local state = redis.call('HGET', record_of(job_id), 'state')
    if state == 'waiting' or state == 'active' or state == 'delayed' or state == 'paused' then return true end
    redis.call('SREM', file_jobs_of(id), job_id)
  end
  return false
end

-- Check the files that a submission names, and make all contents part of its fingerprint: equal contents are equal jobs.
-- Returns nil, or what refuses the submission and the place of the file among all of its files.
local function bind_files(submission, time)
  local contents, attached = {}, 0
  for place, entry in ipairs(submission.files or {}) do
    local sha256, kind, size = entry.sha256, entry.kind, entry.size
    if entry.id ~= '' then
      local file = redis.call('HMGET', file_of(entry.id), 'caller', 'state', 'expires', 'sha256', 'kind', 'size')
      local is_there = file[1] == submission.caller and (file[2] == 'ready' or file[2] == 'awaited')
      if not is_there or tonumber(file[3]) <= time then return 'no_file', place - 1 end
      sha256, kind, size = file[4], file[5] or '', tonumber(file[6])
      -- Nobody has read the bytes of an awaited upload, so its job is not like any other.
      if file[2] == 'awaited' then submission.fingerprint = nil end
      if entry.attached and file[2] == 'ready' and kind == '' then return 'not_attachable', place - 1 end
    end
    if entry.attached then attached = attached + size end
    if attached > (submission.max_attached or 0) then return 'attachments_too_large', place - 1 end
    contents[place] = (sha256 or '') .. (entry.attached and kind or '')
  end
  if #contents > 0 and submission.fingerprint then
    submission.fingerprint = submission.fingerprint .. '.' .. redis.sha1hex(table.concat(contents, ' '))
  end
end

-- Rare: note that a job needs a file.
local function hold_file(id, job)
  local jobs = file_jobs_of(id)
  redis.call('SADD', jobs, job)
  -- A file of many jobs forgets those that have ended, a few at a time.
  for _, other in ipairs(redis.call('SCARD', jobs) > 50 and redis.call('SRANDMEMBER', jobs, 4) or {}) do
    if redis.call('HEXISTS', record_of(other), 'finished') == 1 or redis.call('EXISTS', record_of(other)) == 0 then
      redis.call('SREM', jobs, other)
    end
  end
end

-- Keep the files of a new job until it has ended.
local function hold_files(submission)
  for _, entry in ipairs(submission.files or {}) do
    if entry.id ~= '' then hold_file(entry.id, submission.job_id) end
  end
end

-- Keep the files of a job that runs again, as far as they are still there.
local function hold_files_again(id)
  local text = redis.call('GET', input_of(id)) or ''
  if not string.find(text, '"fileId"', 1, true) then return end
  local request = cjson.decode(text)
  for _, entries in ipairs({request.files or {}, request.attachments or {}}) do
    for _, entry in ipairs(entries) do
      if entry.fileId and redis.call('EXISTS', file_of(entry.fileId)) == 1 then hold_file(entry.fileId, id) end
    end
  end
end
