"""The names of everything that the gateway keeps in Redis; `common.lua` writes them for the scripts.

A job is up to four keys, so that what is polled stays small and what is large is read once:

    cg:job:ID         hash    the record: short fields only, so Redis keeps it in its compact form
    cg:job:ID:in      string  the request, JSON; read by the worker
    cg:job:ID:out     string  the result, JSON; written once, at the end
    cg:job:ID:joined  hash    requestId of each submission that joined → its metadata, JSON

Fields of the record (times in ms since the epoch, by Redis's clock):

    v        schema version of the record, now 1
    caller   whose job it is
    req      requestId of the first submission
    state    waiting | active | delayed | completed | failed | cancelled
    prio     0 high, 1 normal, 2 low
    seq      place in the order of arrival, over all callers
    n        the claim that is expected next, or that runs: the fence of every write
    attempts runs that ended by themselves or by a lost worker
    progress 0 to 100, never down
    timeout  ms, one clock over all attempts, from `started`
    created, started, finished
    expires  when a finished job is forgotten
    slot     the slot that runs it
    lost     workers that vanished with it
    error    why it failed, JSON
    meta     the caller's metadata, JSON; absent when there is none
    fp, ttl  fingerprint, and s for which a success is cached; absent when it may be neither cached nor joined

Beside them:

    cg:jobs:CALLER:STATE  zset    a caller's jobs of one state: job id → seq
    cg:cache:FP           hash    job, result JSON and cost of a success; expires by itself
    cg:flight:FP          string  id of the job that answers this fingerprint now
    cg:idem:CALLER:HASH   hash    what an Idempotency-Key was answered; expires after a day
    cg:rate:CALLER        string  when the caller's bucket will be empty, ms; expires by itself
    cg:counters           hash    what has been counted, over all processes
"""

PREFIX = "cg:"
WAITING = PREFIX + "waiting"  # zset: job id → prio · 2⁵⁰ + seq
DELAYED = PREFIX + "delayed"  # zset: job id → ms when due
ACTIVE = PREFIX + "active"  # zset: job id → ms when its lease ends
PAUSED = PREFIX + "paused"  # present while an operator lets no job start
UPSTREAM = PREFIX + "upstream"  # hash: refused (times in a row), code, since, probe (ms when one job may try)
NOT_BEFORE = PREFIX + "notbefore"  # present while Claude's rate limit lets no job start; expires by itself
SEQUENCE = PREFIX + "seq"  # counter: the order of arrival
WAKE = PREFIX + "wake"  # list, capped: a token for each new job, that idle slots block on
EXPIRES = PREFIX + "expires"  # zset: id of a finished job → ms when it is forgotten
COUNTERS = PREFIX + "counters"
SLOTS = PREFIX + "slots"  # zset: slot name → s when it counts as dead
KEYS = PREFIX + "keys"  # hash: id of a caller's key → JSON of what is known of it
ENDED = PREFIX + "ended"  # channel: ids of jobs that have ended
CANCELLED = PREFIX + "cancelled"  # channel: ids of jobs that were cancelled


def job(job_id: str) -> str:
    """Name the record of a job."""
    return f"{PREFIX}job:{job_id}"


def job_input(job_id: str) -> str:
    """Name the request of a job."""
    return f"{PREFIX}job:{job_id}:in"


def job_output(job_id: str) -> str:
    """Name the result of a job."""
    return f"{PREFIX}job:{job_id}:out"


def idempotency(caller: str, digest: str) -> str:
    """Name the record of an Idempotency-Key."""
    return f"{PREFIX}idem:{caller}:{digest}"


def caller_key(digest: str) -> str:
    """Name the record by which a caller's key is found: a hash under the key's SHA-256."""
    return f"{PREFIX}key:{digest}"
