-- Part of every script, the first: the names of the keys. They are not passed as KEYS, because which keys a script
-- uses depends on what it reads, and the store does not run in cluster mode. `keys.py` describes what each key holds.
local WAITING, DELAYED, ACTIVE, PAUSED = 'cg:waiting', 'cg:delayed', 'cg:active', 'cg:paused'
-- Those of the waiting jobs that need no sandbox: what a worker without one may take.
local PLAIN = 'cg:waiting:plain'
local SANDBOXED = 'cg:sandboxed'
local VIRTUAL, POLICIES, HELD, HOLDING = 'cg:virtual', 'cg:policies', 'cg:held', 'cg:holding'
local BYTES, SESSIONS, SESSION_BYTES = 'cg:bytes', 'cg:sessions', 'cg:sessionbytes'
local PARKED, DEPLOYMENT, SPOOL_KEY = 'cg:parked', 'cg:deployment', 'cg:spoolkey'
local AWAITING = 'cg:awaiting'
local SEQUENCE, WAKE, EXPIRES, COUNTERS = 'cg:seq', 'cg:wake', 'cg:expires', 'cg:counters'
local HTTP, PRICES, RQ_VIEW = 'cg:http', 'cg:prices', 'cg:rqview'
local CANCELLED, STEERED = 'cg:cancelled', 'cg:steered'
local REVOKED, REVOKING, REVOCATIONS = 'cg:revoked', 'cg:revoking', 'cg:revocations'
local ANONYMOUS = 'anonymous'
local SLOTS, RUNNING, CACHED = 'cg:slots', 'cg:running', 'cg:cached'
local WORKERS, WRITTEN = 'cg:workers', 'cg:written'
local DUE, FAILING_HOSTS, WEBHOOK_DUE = 'cg:due:callers', 'cg:hosts', 'cg:told'
local FILES_DUE, FILE_BYTES = 'cg:files:due', 'cg:files:bytes'
local UPSTREAM, NOT_BEFORE = 'cg:upstream', 'cg:notbefore'
local BUDGET_WEBHOOK, AUDIT_SEQUENCE = 'cg:budget:webhook', 'cg:audit:seq'
local SLOT_MEMORY, ALL_BATCHES, EXEMPLARS = 'cg:slots:memory', 'cg:batches:all', 'cg:exemplars'
local BATCHES_EXPIRE, GUESSERS, CALLER_KEYS = 'cg:batches:expire', 'cg:guessers', 'cg:keys'
local ALL_SCHEDULES, SCHEDULES_DUE = 'cg:schedules', 'cg:schedules:due'
local function schedules_of(caller) return 'cg:schedules:of:' .. caller end
local function schedule_of(id) return 'cg:schedule:' .. id end
local function schedule_runs_of(id) return 'cg:schedule:' .. id .. ':runs' end
local function schedule_jobs_of(id) return 'cg:schedule:' .. id .. ':jobs' end
-- Fields of a job's record: the session that it continues, and the last piece that its claim has published.
local SESSION, PIECE = 'talk', 'said'
-- An event stream that grows beyond this loses its oldest events.
local MOST_EVENTS = 20000
-- So many refusals in a row hold the queue. Then one job per interval, ms, tries whether Claude accepts requests again.
local HELD_AFTER, PROBE_EVERY = 3, 30000
local HOUR, DAY, KEPT_DAYS = 3600000, 86400000, 400 * 86400
-- Fields of a caller's usage of a day, and the part of a daily budget from which it is nearly spent.
local MOST_USAGE, NEARLY = 2000, 0.8

-- Format a number without exponent and fraction, as names and scores need it. For a number without a fraction %d does so in
-- half of the time.
local function whole(number) return string.format(number % 1 == 0 and '%d' or '%.0f', number) end

local function record_of(id) return 'cg:job:' .. id end
local function input_of(id) return 'cg:job:' .. id .. ':in' end
local function output_of(id) return 'cg:job:' .. id .. ':out' end
local function events_of(id) return 'cg:job:' .. id .. ':events' end
local function steps_of(id) return 'cg:job:' .. id .. ':steps' end
local function messages_of(id) return 'cg:job:' .. id .. ':messages' end
local function channel_of(id) return 'cg:heard:' .. id end
local function outputs_of(id) return 'cg:job:' .. id .. ':outputs' end
local function pending_of(id) return 'cg:job:' .. id .. ':pending' end
local function joined_of(id) return 'cg:job:' .. id .. ':joined' end
-- The idempotency records that name a job or a batch, and a copy of a result for the records of cached answers.
local function keys_of(id) return 'cg:job:' .. id .. ':keys' end
local function kept_of(id) return 'cg:kept:' .. id end
local function cache_of(fingerprint) return 'cg:cache:' .. fingerprint end
local function hit_of(request) return 'cg:hit:' .. request end
local function flight_of(fingerprint) return 'cg:flight:' .. fingerprint end
local function jobs_of(caller, state) return 'cg:jobs:' .. caller .. ':' .. state end
local function all_of(state) return 'cg:all:' .. state end

local function hooks_of(id) return 'cg:job:' .. id .. ':hooks' end
local function hook_of(name) return 'cg:hook:' .. name end
local function attempts_of(name) return 'cg:hook:' .. name .. ':tries' end
local function due_hosts_of(caller) return 'cg:due:' .. caller end
local function due_of(caller, host) return 'cg:due:' .. caller .. ':' .. host end
local function host_of(host) return 'cg:host:' .. host end

local function batch_of(id) return 'cg:batch:' .. id end
local function batch_jobs_of(id) return 'cg:batch:' .. id .. ':jobs' end
local function batches_of(caller) return 'cg:batches:' .. caller end

-- Transcripts of the CLI; `-` stands for its project.
local function transcript_of(caller, session) return 'cg:talk:' .. caller .. ':-:' .. session end
local function staged_transcript_of(claim, session) return 'cg:turn:' .. claim .. ':-:' .. session end
-- What the runs of a job have added to its session before their pauses.
local function paused_transcript_of(id, session) return 'cg:turn:' .. id .. '-paused:-:' .. session end
-- The session that keeps the working directory of a paused job; a client can give no session such a name.
local function pause_of(id) return id .. '.pause' end
local function workspace_of(caller, session) return 'cg:talk:' .. caller .. ':-:' .. session .. ':workspace' end
local function turns_of(caller, session) return 'cg:turns:' .. caller .. ':' .. session end

local function held_of(caller) return 'cg:held:' .. caller end
local function finish_tags_of(priority) return 'cg:finish:' .. whole(priority) end
local function rate_of(caller) return 'cg:rate:' .. caller end
local function spend_of(caller, day) return 'cg:spend:' .. caller .. ':' .. day end
local function usage_of(caller, day) return 'cg:usage:' .. caller .. ':' .. day end
local function users_of(day) return 'cg:users:' .. day end
local function spent_of(id, number) return 'cg:spent:' .. id .. '-' .. number end

local function file_of(id) return 'cg:file:' .. id end
local function file_jobs_of(id) return 'cg:file:' .. id .. ':jobs' end
local function files_of(caller) return 'cg:files:of:' .. caller end
local function deleted_files_of(caller) return 'cg:files:deleted:' .. caller end

local function caller_key_of(digest) return 'cg:key:' .. digest end
local function secrets_of(caller) return 'cg:secret:' .. caller end
local function audit_of(source) return 'cg:audit:' .. source end
-- What MCP servers were used for, by period, and the jobs of a caller that count of a day.
local function learned_of(digest, period) return 'cg:learned:' .. digest .. ':' .. whole(period) end
local function learned_of_caller(caller, day) return 'cg:learned:of:' .. caller .. ':' .. whole(day) end
local function guesses_of(address) return 'cg:guesses:' .. address end
local function session_of(digest) return 'cg:session:' .. digest end

-- Of a caller: name of a credential → JSON of what is known of it, with the sealed value.
local function credentials_of(caller) return 'cg:credentials:' .. caller end
local function uses_of(caller) return 'cg:uses:' .. caller end
local function granted_to(caller) return 'cg:granted:' .. caller end
local function users_of_credential(owner, name) return 'cg:grants:' .. owner .. ':' .. name end

-- Return the server's time, ms since the epoch; the same during one script.
local script_time
local function now()
  if not script_time then
    local time = redis.call('TIME')
    script_time = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return script_time
end

-- Return the arguments from a position to the last.
local function rest(arguments, first)
  local found = {}
  for position = first, #arguments do found[#found + 1] = arguments[position] end
  return found
end

local function minute_of(number) return 'cg:minute:' .. whole(number) end
local function hour_of(number) return 'cg:hour:' .. whole(number) end
-- The one caller that has no key has neither a revocation nor a policy.
local function is_revoked(caller)
  return caller ~= ANONYMOUS and redis.call('HEXISTS', REVOKED, caller) == 1
end

local function day_of(time) return whole(math.floor(time / DAY)) end
