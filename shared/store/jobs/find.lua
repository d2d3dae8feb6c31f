-- Find jobs of all callers, newest first. Examines a bounded number of records, whatever the number of jobs: the caller of
-- the script continues where it ended.
-- ARGV
--   wanted   JSON: what a job must have; an empty value stands for any:
--     id        of a job, a request, a batch, a session, a schedule or a webhook
--     caller    its id, or its name
--     code      error code of a failure
--     model     the model that answered last or, before the first answer, that the request names
--     batch
--     schedule
--     session
--     created_since  ms
--     created_until  ms
--     as_of     ms: no job that came or ended later; 0 for any
--     metadata  a list of KEY=VALUE, or of KEY alone
--     states    a list
--   most     how many jobs
--   examine  how many records
--   before   only jobs that came before this number: '(SEQ' or '+inf'
-- Returns {ms since the epoch, records that were examined, the number at which it ended or '' at the end of the list, and for
-- each job its id and the name of its caller, '' without one}, without jobs whose time is over.
local wanted, most, examine, before = cjson.decode(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local time, found, examined, ended = now(), {}, 0, ''
local PART = 64
local above = before == '+inf' and math.huge or tonumber(before:sub(2))
local below = -math.huge

local function answer()
  local reply, names = {time, examined, ended}, {}
  for _, id in ipairs(found) do
    local caller = redis.call('HGET', record_of(id), 'caller')
    if not names[caller] then
      local text = redis.call('HGET', CALLER_KEYS, caller)
      names[caller] = text and cjson.decode(cjson.decode(text).caller).name or ''
    end
    reply[#reply + 1], reply[#reply + 2] = id, names[caller]
  end
  return reply
end

-- The job that an id belongs to, the filter that it stands for, or a request or session to look for.
local sought = wanted.id
if sought ~= '' then
  local id = redis.call('HGET', hook_of(sought), 'job') or sought
  local job = read(id, 'seq', 'expires')
  if job.seq then
    if tonumber(job.expires or time + 1) > time and above > tonumber(job.seq) then found[1] = id end
    return answer()
  end
  if redis.call('EXISTS', batch_of(id)) == 1 then
    wanted.batch, sought = id, ''
  elseif redis.call('EXISTS', schedule_of(id)) == 1 then
    wanted.schedule, sought = id, ''
  end
end

-- Look at the jobs of a batch only: they were accepted in one script, so their numbers follow that of the batch.
local function within_batch()
  local batch = redis.call('HMGET', batch_of(wanted.batch), 'caller', 'total')
  local place = batch[1] and redis.call('ZSCORE', batches_of(batch[1]), wanted.batch)
  if not place then return false end
  below = tonumber(place) + 1
  above = math.min(above, place + batch[2] + 1)
  return true
end
if wanted.batch ~= '' and not within_batch() then return answer() end

local function id_of_caller(name)
  if name == '' or redis.call('HEXISTS', CALLER_KEYS, name) == 1 then return name end
  for _, text in ipairs(redis.call('HVALS', CALLER_KEYS)) do
    local caller = cjson.decode(cjson.decode(text).caller)
    if caller.name == name then return caller.id end
  end
  return name
end
local caller = id_of_caller(wanted.caller)

local function has_metadata(text)
  local metadata = cjson.decode(text)
  for _, one in ipairs(wanted.metadata) do
    local there = metadata[one] ~= nil
    for key, value in pairs(metadata) do there = there or key .. '=' .. value == one end
    if not there then return false end
  end
  return true
end

local function has_model(id, tried)
  local last = tried and tried:match('[^\n]*$')
  local model = last and cjson.decode(last:match('^%S+ %S+ %S+ %S+ (.*)$') or '{}').model
  if model and model ~= cjson.null then return model == wanted.model end
  local named = ',"model":' .. cjson.encode(wanted.model):gsub('\\/', '/') .. ','
  return string.find(redis.call('GETRANGE', input_of(id), 0, 65535), named, 1, true) ~= nil
end

-- The fields of a record that the filter needs: each takes time, for each of thousands of records.
local fields = {'expires'}
local function need(name, is_needed)
  if is_needed then fields[#fields + 1] = name end
end
need('state', wanted.schedule ~= '')
need('caller', wanted.schedule ~= '' and caller ~= '')
need('schedule', wanted.schedule ~= '')
need('finished', wanted.as_of > 0)
need('batch', wanted.batch ~= '' or sought ~= '')
need('error', wanted.code ~= '')
need('meta', #wanted.metadata > 0)
need('tried', wanted.model ~= '')
need('req', sought ~= '')
need(SESSION, sought ~= '' or wanted.session ~= '')

local is_wanted = {}
for _, state in ipairs(wanted.states) do is_wanted[state] = wanted.code == '' or state == 'failed' end

local function is_batch_of_request(batch) return batch and redis.call('HGET', batch_of(batch), 'req') == sought end

local function matches(id, job)
  if job.finished and tonumber(job.finished) > wanted.as_of then return false end
  if wanted.batch ~= '' and job.batch ~= wanted.batch then return false end
  if wanted.schedule ~= '' then
    if not is_wanted[job.state] or job.schedule ~= wanted.schedule then return false end
    if caller ~= '' and job.caller ~= caller then return false end
  end
  if wanted.session ~= '' and job[SESSION] ~= wanted.session and id ~= wanted.session then return false end
  if wanted.code ~= '' and (not job.error or cjson.decode(job.error).code ~= wanted.code) then return false end
  if #wanted.metadata > 0 and not (job.meta and has_metadata(job.meta)) then return false end
  if wanted.model ~= '' and not has_model(id, job.tried) then return false end
  return sought == '' or job.req == sought or job[SESSION] == sought or is_batch_of_request(job.batch)
    or redis.call('HEXISTS', joined_of(id), sought) == 1
end

local function created_at(list, rank)
  return tonumber(redis.call('HGET', record_of(redis.call('ZRANGE', list, rank, rank)[1]), 'created') or 0)
end

-- Return the number of the first job of a list that was created at a time or later. The order of a list is that of creation.
local function first_since(list, since)
  local low, high = 0, redis.call('ZCARD', list)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if created_at(list, middle) < since then low = middle + 1 else high = middle end
  end
  return tonumber(redis.call('ZRANGE', list, low, low, 'WITHSCORES')[2] or math.huge)
end

-- Each list of one state, or the list of a schedule's jobs, is read in parts.
local function open(name, since, until_time)
  local list = {name = name, above = above, below = below, part = {}, at = 1}
  if until_time > 0 then list.above = math.min(above, first_since(name, until_time + 1)) end
  if since > 0 then list.below = math.max(below, first_since(name, since)) end
  return list
end

local function next_of(list)
  if list.at > #list.part and not list.over then
    list.part = redis.call('ZREVRANGEBYSCORE', list.name, list.above == math.huge and '+inf' or '(' .. whole(list.above),
      list.below == math.huge and '+inf' or list.below == -math.huge and '-inf' or whole(list.below), 'WITHSCORES',
      'LIMIT', 0, PART)
    list.at, list.over = 1, #list.part == 0
    if not list.over then list.above = tonumber(list.part[#list.part]) end
  end
  return list.part[list.at], tonumber(list.part[list.at + 1])
end

-- Add the jobs that were created in a time and that match, newest first, among so many records that are examined in all.
local function add_matching(since, until_time, enough, is_match)
  local lists = {}
  if wanted.schedule ~= '' then
    lists[1] = open(schedule_jobs_of(wanted.schedule), since, until_time)
  else
    for _, state in ipairs(wanted.states) do
      if is_wanted[state] then
        lists[#lists + 1] = open(caller ~= '' and jobs_of(caller, state) or all_of(state), since, until_time)
      end
    end
  end
  while true do
    local first, id, seq
    for _, list in ipairs(lists) do
      local its_id, its_seq = next_of(list)
      if its_id and (not seq or its_seq > seq) then first, id, seq = list, its_id, its_seq end
    end
    if not first then return end
    if #found == most or examined >= enough then
      ended = whole(seq + 1)
      return
    end
    first.at = first.at + 2
    examined = examined + 1
    local values, job = redis.call('HMGET', record_of(id), unpack(fields)), {}
    for i, name in ipairs(fields) do job[name] = values[i] or nil end
    if tonumber(job.expires or time + 1) > time and is_match(id, job) then found[#found + 1] = id end
  end
end

-- An id of version 7 has its time, by the clock of another machine. The job that a request created came shortly after.
local digits = before == '+inf' and sought:match('^(%x%x%x%x%x%x%x%x)%-%x%x%x%x%-7')
if digits then
  local sent = tonumber(digits .. sought:sub(10, 13), 16)
  local batch
  local function is_of_request(_, job)
    if is_batch_of_request(job.batch) then batch = job.batch end
    return job.req == sought or job.batch and job.batch == batch
  end
  add_matching(sent - 50, sent + 500, examine / 4, is_of_request)
  if #found == 0 then add_matching(sent - 5000, sent + 5000, examine / 2, is_of_request) end
  ended = ''
  if batch then
    wanted.batch, sought, found = batch, '', {}
    within_batch()
  end
  if #found > 0 then return answer() end
end
local latest = wanted.created_until
if wanted.as_of > 0 then latest = latest > 0 and math.min(latest, wanted.as_of) or wanted.as_of end
add_matching(wanted.created_since, latest, examine, matches)
return answer()
