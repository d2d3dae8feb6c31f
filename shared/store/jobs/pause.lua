-- Pause a running job until its call that needs a decision is decided: it leaves its slot, and its clock stands.
-- ARGV
--   settlement  JSON:
--     job_id
--     number      claim number
--     ask         id of the decision
--     timeout_ms  ms until the time for the decision is over
--     late        what happens then: deny or fail
--     token       secret of the URL at which a person decides without a key
--     spend       the cost of the run, JSON, see count_spend
--     session_id  the session in which the run has staged its transcripts
--     outputs     the archive of its working directory, JSON, see outputs.py, or ''
--     keep_s      s for which the archive is kept
--     deployment  of the claim, see settlement.lua
--   shown       id, kind, tool and input of the call, JSON: what clients see
--   resume      what the run that goes on needs, JSON
-- Returns 1 when the job is paused (also when the same settlement is sent again), 3 for a claim of another deployment, else 0.
local settlement, shown, resume = cjson.decode(ARGV[1]), ARGV[2], ARGV[3]
if is_foreign(settlement.deployment) then return 3 end
-- Decisions of a job that are remembered as made.
local MOST_DECISIONS = 100
local id, number = settlement.job_id, whole(settlement.number)
local job = read(id, 'state', 'n', 'caller', 'seq', 'req', 'hook', 'host', 'meta', 'progress', 'decisions', 'ask')
if job.ask == settlement.ask then return 1 end
if job.state ~= 'active' or job.n ~= number then
  count_once(id, number, job.caller, settlement.spend)
  return 0
end

local time = now()
redis.call('ZREM', ACTIVE, id)
local over = time + settlement.timeout_ms
shown = shown:sub(1, -2) .. ',"askedAt":' .. whole(time) .. ',"expiresAt":' .. whole(over) .. '}'
local known = {}
for ask in string.gmatch(job.decisions or '', '%S+') do known[#known + 1] = ask end
if #known == MOST_DECISIONS then table.remove(known, 1) end
known[#known + 1] = settlement.ask

leave_slot(id)
local staged = staged_transcript_of(id .. '-' .. number, settlement.session_id)
local bytes = append_transcript(staged, paused_transcript_of(id, settlement.session_id)) + #shown + #resume
redis.call('HINCRBY', record_of(id), 'kept', whole(bytes))
add_bytes(id, job.caller, bytes)
change_state(id, job.caller, job.seq, 'active', 'paused', 'n', whole(settlement.number + 1), 'ask', settlement.ask,
  'decisions', table.concat(known, ' '), 'pause', shown, 'resume', resume, 'token', settlement.token, 'late', settlement.late,
  'until', whole(over), 'paused', settlement.session_id, 'stopped', whole(time))
-- The text so far stays part of the answer, and subscribers keep it.
redis.call('HDEL', record_of(id), 'slot', 'waiting', 'decision', 'called', PIECE)
redis.call('ZADD', AWAITING, whole(over), id)
if settlement.outputs ~= '' then
  keep_workspace(job.caller, pause_of(id), cjson.decode(settlement.outputs).workspace, settlement.keep_s)
end
count_once(id, number, job.caller, settlement.spend)
redis.call('HDEL', record_of(id), 'spent')
add_webhook(id, job.caller, hook_name(job.req, settlement.ask), job.req, job.hook, job.host, job.meta or '',
  'query.action_required', time)
publish_state(id, 'paused', job.progress)
publish(id, 'action_required', shown)
return 1
