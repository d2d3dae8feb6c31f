-- End a job, once: everything that its end changes is written here, under its claim.
-- ARGV  1 job id  2 n  3 state: completed or failed  4 result or error, JSON  5 ms to keep it  6 what it cost, see count_spend
--       7 what it showed of Claude, see note_upstream  8 the error's code or ''  9 ms for which Claude wants no request
--       10 what a cached answer saves, USD  11 MCP servers that were not there, JSON, or ''
--       12 the conversation that is kept, '' for none  13 s to keep it  14 what was seen of the run, JSON, see note_attempt.lua
-- and last the deployment, see settlement.lua
-- Returns 1 when this claim ended the job (also when it is told so again), 2 when it was put aside because Claude
-- refuses everybody, else 0.
-- Add what a turn has said to the conversation, with what stands beside it.
local function take_over(from, to, keep)
  local function move(name, read_all, write)
    local lines = redis.call(read_all, from .. name, unpack(read_all == 'LRANGE' and {0, -1} or {}))
    for first = 1, #lines, 1000 do
      redis.call(write, to .. name, unpack(lines, first, math.min(first + 999, #lines)))
    end
    redis.call('DEL', from .. name)
    redis.call('EXPIRE', to .. name, keep)
  end
  for _, subpath in ipairs(redis.call('SMEMBERS', from .. ':subs')) do
    move('/' .. subpath, 'LRANGE', 'RPUSH')
    move('/' .. subpath .. ':ids', 'SMEMBERS', 'SADD')
  end
  move('', 'LRANGE', 'RPUSH')
  move(':ids', 'SMEMBERS', 'SADD')
  move(':subs', 'SMEMBERS', 'SADD')
end

local id = ARGV[1]
local job = read(id, 'state', 'n', 'caller', 'seq', 'fp', 'ttl')
if job.state == 'delayed' and tonumber(job.n) == ARGV[2] + 1 then return 2 end
if job.n == ARGV[2] and job.state == ARGV[3] then return 1 end
if job.n ~= ARGV[2] or job.state ~= 'active' then
  count_once(id, ARGV[2], job.caller, ARGV[6])
  return 0
end

local time = now()
redis.call('ZREM', ACTIVE, id) -- the first write frees memory, see end_job
if note_upstream(ARGV[7], ARGV[8], tonumber(ARGV[9]), time) then
  -- It is not the job's fault. Later than the next probe, so that the probe is another job: one that is always refused,
  -- such as for its model, must not keep the queue held.
  delay(id, job, time + 2 * PROBE_EVERY)
  count_once(id, ARGV[2], job.caller, ARGV[6]) -- an earlier turn of the run may have cost
  redis.call('HDEL', record_of(id), 'started', 'spent')
  note_attempt(id, time, ARGV[8], 0, ARGV[14])
  return 2
end
end_job(id, job, ARGV[3], time, tonumber(ARGV[5]), ARGV[8])
count_spend(id, job.caller, ARGV[6])
if ARGV[11] and ARGV[11] ~= '' then redis.call('HSET', record_of(id), 'absent', ARGV[11]) end
redis.call('HINCRBY', record_of(id), 'attempts', 1)
note_attempt(id, time, ARGV[8], 1, ARGV[14])
if ARGV[3] == 'completed' then
  redis.call('SET', output_of(id), ARGV[4])
else
  redis.call('HSET', record_of(id), 'error', ARGV[4])
end
-- An answer that lacked a server, or a part of a tool's result, is not what the next one should get.
local whole_answer = (ARGV[11] or '') == '' and not string.find(ARGV[14] or '', '"truncated": [', 1, true)
if ARGV[3] == 'completed' and whole_answer and job.fp and tonumber(job.ttl) > 0 then
  redis.call('HSET', cache_of(job.fp), 'job', id, 'cost', ARGV[10])
  redis.call('EXPIRE', cache_of(job.fp), job.ttl)
  redis.call('ZREMRANGEBYSCORE', CACHED, '-inf', whole(time))
  redis.call('ZADD', CACHED, whole(time + job.ttl * 1000), job.fp)
end
if ARGV[3] == 'completed' and ARGV[12] and ARGV[12] ~= '' then
  take_over('cg:turn:' .. id .. '-' .. ARGV[2] .. ':-:' .. ARGV[12], 'cg:talk:' .. job.caller .. ':-:' .. ARGV[12], ARGV[13])
end
return 1
