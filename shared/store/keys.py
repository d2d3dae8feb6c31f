"""The names of all Redis keys of the gateway; `redis/names.lua` has the same names for the scripts.

The names are older than some terms of the glossary. A job has several keys; large values are read once:

    cg:job:ID         hash    the record: short fields only, so that Redis keeps it in its compact form
    cg:job:ID:in      string  the request, JSON; above 4 KB deleted when the job completes, unless `keep` is set
    cg:job:ID:out     string  the result, JSON; written once, at the end
    cg:job:ID:outputs string  the files that its run left, JSON, see `jobs/outputs.py`; absent when it left none
    cg:job:ID:pending set     the files that an attempt has begun to store; expires
    cg:job:ID:joined  hash    requestId of a joined submission → its webhook's URL, host, metadata and trace, in lines
    cg:job:ID:hooks   set     names of the webhooks for its end
    cg:job:ID:keys    set     names of the idempotency records that answer with it; also for a batch
    cg:job:ID:events  stream  its event stream: `k` is the kind, see `jobs/events.py`, `d` the data
    cg:job:ID:steps   hash    its steps: the place from 1 → JSON, and `=ID` → the place; see `jobs/steps.lua`
    cg:job:ID:messages list   messages that it was sent while it ran: id, step as JSON and text, a line each

Fields of the record (times in ms since the epoch, by Redis's clock):

    v        schema version of the record, now 1
    caller   the caller that the job belongs to
    req      requestId of the first submission
    state    waiting | active | delayed | paused | completed | failed | cancelled
    prio     0 high, 1 normal, 2 low
    seq      place in the order of arrival, over all callers
    due      ms until which it is, or was last, delayed; absent when it never was
    runat    ms before which its client does not want it to start; absent for none
    schedule the schedule that made it; absent for none
    tag      place in the order of its priority, see `jobs/fair_share.lua`; absent until it is in the queue
    n        the claim number that is expected next, or that runs: the fence of every write
    attempts attempts that count: those that ended by themselves, and lost workers
    progress 0 to 100, never decreases
    timeout  ms, one clock over all attempts, from `started`
    created, started, finished
    taken    when it was last popped off the queue; the first pop that is followed by a claim is `started`
    expires  when a finished job is forgotten
    slot     the slot that runs it
    said     the last piece of text and steps that its running claim has published: N.PIECE
    steps    how many steps its runs had, those too that are not kept; absent for none
    closed   the claim whose run has ended and takes no more messages
    begun    when its running claim started
    since    when it last went back to wait
    trace    the trace context of its submission, as text; absent for none
    tried    its attempts, a line each, see note_attempt.lua
    lost     workers that were lost with it
    error    why it failed, JSON
    round    how often it was retried after its end; absent for never
    meta     the caller's metadata, JSON; absent for none
    hook, host  URL of the first submission's webhook, and its host; absent for none
    talk     the session that it continues, or `schedule.ID` for one job of a schedule at a time; absent for none
    spent    the cost of its running claim so far, JSON
    waiting  why its running claim waits for Claude, JSON; absent when it does not
    cost, paid  USD of all its attempts, and of those before it was last retried after its end
    bytes    what it holds in Redis, as its caller's bytes count it
    lasting  the part of `bytes` that a retry after its end does not change; absent for none
    keep     present when its request is read after it has completed
    words    the beginning of a request that was deleted, JSON that is cut; absent while the request is there
    sandbox  present when only a worker with a sandbox may run it
    mcp      the MCP servers that it is routed to and the reasons, JSON; absent for none
    absent   those of them that did not start or died, JSON; absent for none
    batch    the batch that it belongs to; absent for none
    label    KEY and TAG, a line each: the caller's key and the tag by which usage is counted; absent for neither
    budget   USD that its caller may spend a day, as of its last claim; absent for any sum
    cred     name of the caller's credential that it runs on; absent for the deployment's own
    ask, decisions, pause, resume, decision, called, token, until, late, paused, kept, stopped, stood: `decisions.py`
    fp, ttl  fingerprint, and s for which a success is cached; absent when it may be neither cached nor joined

The keys of webhooks are described in `webhooks/outbox.py`.

Other keys:

    cg:jobs:CALLER:STATE  zset    a caller's jobs of one state: job id → seq
    cg:all:STATE          zset    the same of all callers
    cg:talk:CALLER:-:ID   list    the transcript of a kept session, with more keys beside it: see `jobs/sessions.py`;
                                  expires
    cg:talk:CALLER:-:ID:workspace  string  the file that holds the kept working directory of a session; expires
    cg:turn:CLAIM:-:ID    list    what a running claim has added to it; expires. JOB-paused: before the pauses of a job
    cg:turns:CALLER:ID    list    jobs that continue a session, in order: it is the first one's turn
    cg:spend:…, cg:spent:…  see `callers/spending.py`
    cg:usage:…, cg:users:…  see `callers/usage.py`
    cg:audit:SOURCE       stream  of the audit list; see `callers/audit.py`
    cg:batch:ID           hash    v caller req created total left completed failed cancelled hook host meta
                                  cancelling finished expires round trace
    cg:batch:ID:jobs      list    in the order of its queries: job id, space, the caller's own name for it
    cg:batches:CALLER     zset    a caller's batches: id → seq
    cg:batches:expire     zset    id of an ended batch → ms when it is forgotten
    cg:schedule:…, cg:schedules…  see `schedules/schedules.py`
    cg:cache:FP           hash    job that answered, and cost; expires by itself, and keeps the job's keys as long
    cg:flight:FP          string  id of the job that answers this fingerprint now
    cg:idem:CALLER:HASH   hash    the first answer under an Idempotency-Key: body (hash) kind req job at (ms); expires a
                                  day after `at`, and not before an hour after the end of its job or batch
    cg:kept:ID            string  a job's result, copied for idempotency records of cached answers; expires
    cg:finish:PRIO        zset    of a priority: caller → finish tag of its last job, if it is after the virtual time
    cg:held:CALLER        zset    the jobs of `cg:held` that are the caller's, with the same score
    cg:holding            set     the callers that have or had such jobs, until the rescuer has seen that none is left
    cg:rate:CALLER        string  when the caller's bucket will be empty, ms; expires by itself
    cg:credentials:CALLER hash    name → JSON: kind hosts created updated version, key (name of the public key), sealed
    cg:uses:CALLER        hash    name of a credential → minute since the epoch in which a job last used it
    cg:granted:CALLER     hash    name → the caller whose credential of that name this one may use
    cg:grants:CALLER:NAME set     the other callers that may use this credential of the caller
    cg:file:ID            hash    a caller's file: see `files/files.py`
    cg:file:ID:jobs       set     jobs that were submitted with it; some of them may have ended
    cg:files:of:CALLER    zset    a caller's files that are not deleted: id → seq
    cg:files:deleted:CALLER  zset  its last deleted files without a record: id → ms of its end; expires
    cg:download:HASH      string  caller and file that a token reads, a line each; expires
    cg:session:HASH       string  of a dashboard session, by its token: role, proof of its password, end in ms; expires
    cg:guesses:ADDRESS    set     digests of the credentials that an address sent within a minute; expires
    cg:guessers           zset    address that has such a set → ms of its last guess; expires
    cg:minute:…, cg:hour:…  see `fleet/series.py`
    cg:tools:DIGEST       string  the tools of an MCP server, see `fleet/server_tools.py`; expires
    cg:tools:DIGEST:read  string  present while no worker is to read them; expires
    cg:learned:…          what MCP servers were used for, see `fleet/learned.py`; expires
    cg:hit:REQUEST        string  a cached answer that has been counted; expires after 10 s
    cg:count:REQUEST      string  the reply to a request to count tokens; expires
    cg:counters           hash    counters of all processes; see `fleet/counters.py`
    cg:rqview             string  present while the keys of `rq info` are fresh; expires
"""

PREFIX = "cg:"
ANONYMOUS = "anonymous"  # the only caller where no key is required
WAITING = PREFIX + "waiting"  # zset: job id → prio · 2⁵⁰ + tag
VIRTUAL = PREFIX + "virtual"  # hash: priority → virtual time: the tag of the job last taken off the queue
HELD = PREFIX + "held"  # zset: id of a job that waits for a running job of its caller to end → its score in the queue
BYTES = PREFIX + "bytes"  # hash: caller → bytes that it holds, see `jobs/storage.lua`
SESSIONS = PREFIX + "sessions"  # zset: CALLER:SESSION → ms when its transcript expires; CALLER:hour HOUR for others
SESSION_BYTES = PREFIX + "sessionbytes"  # hash: CALLER:SESSION → bytes of its transcript, or of what the hour counts
POLICIES = PREFIX + "policies"  # hash: caller → JSON of its policy; absent for the deployment's limits
PLAIN = PREFIX + "waiting:plain"  # zset: the waiting jobs that need no sandbox, with the same score
SANDBOXED = PREFIX + "sandboxed"  # string: ms when a worker that takes jobs with tools last announced itself
PARKED = PREFIX + "parked"  # zset: id of a job that waits for its turn in a session → seq
DELAYED = PREFIX + "delayed"  # zset: job id → ms when due
AWAITING = PREFIX + "awaiting"  # zset: id of a paused job → ms when the time for its decision is over
ACTIVE = PREFIX + "active"  # zset: job id → ms when its lease ends
PAUSED = PREFIX + "paused"  # present while an operator has paused the queue: JSON of since (ms) and by
UPSTREAM = PREFIX + "upstream"  # hash: refused (times in a row), code, since, probe (ms when one job may try)
NOT_BEFORE = PREFIX + "notbefore"  # CODE SINCE (ms) while Claude's rate limit holds the queue; expires by itself
DEPLOYMENT = PREFIX + "deployment"  # string: random id of this store; set by the first claim, and kept
SPOOL_KEY = PREFIX + "spoolkey"  # string: random secret that signs settlements on disk; set by the first claim
SEQUENCE = PREFIX + "seq"  # counter: the order of arrival
WAKE = PREFIX + "wake"  # list, capped: a token for each new job, on which idle slots block
CACHED = PREFIX + "cached"  # zset: fingerprint of a cached answer → ms when it expires
WORKERS = PREFIX + "workers"  # hash: worker → JSON of its description and of the time of its announcement, ms
FILES_DUE = PREFIX + "files:due"  # zset: file → ms when the reaper looks at it: end of its lease or of its time
FILES_SWEPT = PREFIX + "files:swept"  # present while no worker looks for bytes without a record; expires
FILE_BYTES = PREFIX + "files:bytes"  # hash: caller → bytes of its files, and of uploads in progress
EXPIRES = PREFIX + "expires"  # zset: id of a finished job → ms when it is forgotten
COUNTERS = PREFIX + "counters"
DUE = PREFIX + "due:callers"  # zset: caller → ms when its first webhook is due
FAILING_HOSTS = PREFIX + "hosts"  # set: webhook hosts whose last delivery attempt failed
SLOTS = PREFIX + "slots"  # zset: slot name → s when it counts as dead
RUNNING = PREFIX + "running"  # hash: slot name → id of the job that it runs
HTTP = PREFIX + "http"  # hash: HTTP metrics of all processes
EXEMPLARS = PREFIX + "exemplars"  # hash: field of a bucket of the metrics → trace id, value in s, time in ms
KEYS = PREFIX + "keys"  # hash: caller → JSON of the caller, and the digests of its key and of the one before
COUNTS = PREFIX + "counts"  # list: requests to count tokens, see `fleet/counting.py`; expires
COUNTING = PREFIX + "counting"  # channel: a request to count tokens waits
STEERED = PREFIX + "steered"  # channel: ids of running jobs that were sent a message
CANCELLED = PREFIX + "cancelled"  # channel: ids of jobs that were cancelled
ECHO = PREFIX + "echo:"  # + token, a channel: a connection that listens gets what is published, see `redis/channels.py`
NOTHING = PREFIX + "nothing"  # never present: deleting it finds out whether the server accepts writes
RQ_VIEW = PREFIX + "rqview"  # present while the copies for `rq info` are fresh; RQ_VIEW:lists for its long lists
WRITTEN = PREFIX + "written"  # string: when readiness last tried a write, ms
REVOKED = PREFIX + "revoked"  # hash: caller whose key is revoked → id of the revocation; kept for good
REVOKING = PREFIX + "revoking"  # set: those of them whose jobs are still to be cancelled
REVOCATIONS = PREFIX + "revocations"  # channel: callers whose keys are revoked, or get another end
BUDGET_WEBHOOK = PREFIX + "budget:webhook"  # string: host and URL that the operator gets budget warnings at
AUDIT_SEQUENCE = PREFIX + "audit:seq"  # counter: the order of the audit list over all its sources
WEBHOOK_DUE = "cg:told"  # channel: a webhook may be due

# Upper bounds of the histograms of jobs, s.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


def job(job_id: str) -> str:
    """Name the record of a job."""
    return f"{PREFIX}job:{job_id}"


def every(state: str) -> str:
    """Name the list of all callers' jobs of one state."""
    return f"{PREFIX}all:{state}"


def events(job_id: str) -> str:
    """Name the event stream of a job."""
    return f"{PREFIX}job:{job_id}:events"


def channel(job_id: str) -> str:
    """Name the channel of a job: it gets `end` when the job has ended, and an empty message for any other event."""
    return f"cg:heard:{job_id}"


def session_workspace(caller: str, session_id: str) -> str:
    """Name the file of the kept working directory of a caller's session."""
    return f"cg:talk:{caller}:-:{session_id}:workspace"


def transcripts(caller: str) -> str:
    """Prefix the transcripts of a caller's sessions."""
    return f"cg:talk:{caller}"


def staged_transcripts(claim: str) -> str:
    """Prefix the transcripts that one claim has added to a session."""
    return f"{PREFIX}turn:{claim}"


def job_input(job_id: str) -> str:
    """Name the request of a job."""
    return f"{PREFIX}job:{job_id}:in"


def job_output(job_id: str) -> str:
    """Name the result of a job."""
    return f"{PREFIX}job:{job_id}:out"


def download(digest: str) -> str:
    """Name the file that a token reads, by the token's digest."""
    return f"{PREFIX}download:{digest}"


def job_outputs(job_id: str) -> str:
    """Name the list of the files that a job's run left."""
    return f"{PREFIX}job:{job_id}:outputs"


def cache(fingerprint: str) -> str:
    """Name the cache entry of a fingerprint."""
    return f"{PREFIX}cache:{fingerprint}"


def idempotency(caller: str, digest: str) -> str:
    """Name the record of an Idempotency-Key."""
    return f"{PREFIX}idem:{caller}:{digest}"


def caller_key(digest: str) -> str:
    """Name the record of a key: digest caller scopes used (minute of the last use); expires when it is replaced."""
    return f"{PREFIX}key:{digest}"


def batch_jobs(batch_id: str) -> str:
    """Name the jobs of a batch."""
    return f"{PREFIX}batch:{batch_id}:jobs"


def batches(caller: str) -> str:
    """Name the list of a caller's batches."""
    return f"{PREFIX}batches:{caller}"


def hooks(job_id: str) -> str:
    """Name the set of a job's webhooks."""
    return f"{PREFIX}job:{job_id}:hooks"


def hook(name: str) -> str:
    """Name the record of a webhook."""
    return f"{PREFIX}hook:{name}"


def delivery_attempts(name: str) -> str:
    """Name the attempts of a delivery."""
    return f"{PREFIX}hook:{name}:tries"


def host(name: str) -> str:
    """Name the record of a webhook host that fails."""
    return f"{PREFIX}host:{name}"


def credentials(caller: str) -> str:
    """Name the sealed credentials of a caller."""
    return f"{PREFIX}credentials:{caller}"


def credential_uses(caller: str) -> str:
    """Name the last uses of a caller's credentials."""
    return f"{PREFIX}uses:{caller}"


def granted(caller: str) -> str:
    """Name the credentials of others that a caller may use."""
    return f"{PREFIX}granted:{caller}"


def file(file_id: str) -> str:
    """Name the record of a file."""
    return f"{PREFIX}file:{file_id}"


def session(digest: str) -> str:
    """Name the record of a dashboard session."""
    return f"{PREFIX}session:{digest}"


def secret(caller: str) -> str:
    """Name the secrets that a caller's webhooks are signed with: JSON, the newest first."""
    return f"{PREFIX}secret:{caller}"
