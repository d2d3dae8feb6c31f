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
  elseif redis.call('EXISTS', schedules.record(id)) == 1 then
    wanted.schedule, sought = id, ''
  end
end

-- The jobs of a batch were accepted in one script, so their numbers follow that of the batch.
if wanted.batch ~= '' then
  local batch = redis.call('HMGET', batch_of(wanted.batch), 'caller', 'total')
  local place = batch[1] and redis.call('ZSCORE', rare.batches_of(batch[1]), wanted.batch)
  if not place then return answer() end
  below = tonumber(place) + 1
  above = math.min(above, place + batch[2] + 1)
end

local function id_of_caller(name)
  if name == '' or redis.call('HEXISTS', CALLER_KEYS, name) == 1 then return name end
  for _, text in ipairs(redis.call('HVALS', CALLER_KEYS)) do
    local caller = cjson.decode(cjson.decode(text).caller)
    if caller.name == name then return caller.id end
  end
  return name
end
local caller = id_of_caller(wanted.caller)

local function is_in(states, state)
  for _, one in ipairs(states) do
    if one == state then return true end
  end
  return false
end

local function has_metadata(text)
  local metadata = cjson.decode(text or '{}')
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

local function matches(id, job)
  if wanted.as_of > 0 and math.max(job.created, job.finished or 0) > wanted.as_of then return false end
  if not is_in(wanted.states, job.state) then return false end
  if caller ~= '' and job.caller ~= caller then return false end
  if wanted.batch ~= '' and job.batch ~= wanted.batch then return false end
  if wanted.schedule ~= '' and job.schedule ~= wanted.schedule then return false end
  if wanted.session ~= '' and job[SESSION] ~= wanted.session and id ~= wanted.session then return false end
  if wanted.code ~= '' and (not job.error or cjson.decode(job.error).code ~= wanted.code) then return false end
  if #wanted.metadata > 0 and not has_metadata(job.meta) then return false end
  if wanted.model ~= '' and not has_model(id, job.tried) then return false end
  return sought == '' or job.req == sought or job[SESSION] == sought
    or redis.call('HEXISTS', joined_of(id), sought) == 1
end

local function created_at(list, rank)
  local id = redis.call('ZRANGE', list, rank, rank)[1]
  return tonumber(redis.call('HGET', record_of(id), 'created') or 0)
end

-- Return the first number of a list above all jobs that were created until a time. The order of a list is that of creation.
local function place_after(list, until_time)
  local low, high = 0, redis.call('ZCARD', list)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if created_at(list, middle) <= until_time then low = middle + 1 else high = middle end
  end
  local last = low > 0 and redis.call('ZRANGE', list, low - 1, low - 1, 'WITHSCORES')[2]
  return last and last + 1 or -math.huge
end

-- Each list of one state, or the list of a schedule's jobs, is read in parts.
local function open(name, until_time)
  local list = {name = name, above = above, part = {}, at = 1}
  if until_time > 0 then list.above = math.min(above, place_after(name, until_time)) end
  return list
end

local function next_of(list)
  if list.at > #list.part and not list.over then
    local edge = list.above == math.huge and '+inf' or '(' .. whole(list.above)
    if list.above == -math.huge then edge = '-inf' end
    list.part = redis.call('ZREVRANGEBYSCORE', list.name, edge, below == -math.huge and '-inf' or whole(below), 'WITHSCORES',
      'LIMIT', 0, PART)
    list.at, list.over = 1, #list.part == 0
    if not list.over then list.above = tonumber(list.part[#list.part]) end
  end
  return list.part[list.at], tonumber(list.part[list.at + 1])
end

-- Add the jobs that were created in a time and that match, newest first.
local function add_matching(since, until_time, is_match)
  local lists = {}
  if wanted.schedule ~= '' then
    lists[1] = open(schedules.jobs(wanted.schedule), until_time)
  else
    for i, state in ipairs(wanted.states) do
      lists[i] = open(caller ~= '' and jobs_of(caller, state) or all_of(state), until_time)
    end
  end
  while true do
    local first, id, seq
    for _, list in ipairs(lists) do
      local its_id, its_seq = next_of(list)
      if its_id and (not seq or its_seq > seq) then first, id, seq = list, its_id, its_seq end
    end
    if not first then return end
    if #found == most or examined >= examine then
      ended = whole(seq + 1)
      return
    end
    first.at = first.at + 2
    examined = examined + 1
    local job = read(id, 'expires', 'state', 'caller', 'created', 'finished', 'error', 'tried', 'meta', 'batch', 'schedule',
      SESSION, 'req')
    if job.created and tonumber(job.created) < since then
      first.over, first.part, first.at = true, {}, 1
    elseif job.created and tonumber(job.expires or time + 1) > time and is_match(id, job) then
      found[#found + 1] = id
    end
  end
end

-- An id of version 7 has its time: the job that a request created came then, by the clock of another machine.
local digits = before == '+inf' and sought:match('^(%x%x%x%x%x%x%x%x)%-%x%x%x%x%-7')
if digits then
  local sent = tonumber(digits .. sought:sub(10, 13), 16)
  add_matching(sent - 5000, sent + 5000, function(_, job) return job.req == sought end)
  if #found > 0 then
    ended = ''
    return answer()
  end
end
add_matching(wanted.created_since, wanted.created_until, matches)
return answer()
