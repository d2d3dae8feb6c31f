"""The names of everything that the gateway keeps in Redis.

A job is three keys, so that what is polled stays small and what is large is read once:

    cg:job:ID      hash    the record: short fields only, so Redis keeps it in its compact form
    cg:job:ID:in   string  the request, JSON; read by the worker
    cg:job:ID:out  string  the result or the error, JSON; written once, at the end

Fields of the record (times in ms since the epoch, by Redis's clock):

    v        schema version of the record, now 1
    caller   whose job it is
    req      requestId of the first submission
    state    waiting | active | delayed | completed | failed | cancelled
    prio     0 high, 1 normal, 2 low
    seq      place in the order of arrival
    n        the claim that is expected next, or that runs: the fence of every write
    attempts runs that ended by themselves or by a lost worker
    progress 0 to 100, never down
    timeout  ms, one clock over all attempts, from `started`
    created, started, finished
    expires  when a finished job is forgotten
    slot     the slot that runs it
    meta     the caller's metadata, JSON; absent when there is none
"""

PREFIX = "cg:"
WAITING = PREFIX + "waiting"  # zset: job id → prio · 2⁵⁰ + seq
DELAYED = PREFIX + "delayed"  # zset: job id → ms when due
ACTIVE = PREFIX + "active"  # zset: job id → ms when its lease ends
PAUSED = PREFIX + "paused"  # present while no job may start
SEQUENCE = PREFIX + "seq"  # counter: the order of arrival
WAKE = PREFIX + "wake"  # list, capped: a token for each new job, that idle slots block on
EXPIRES = PREFIX + "expires"  # zset: id of a finished job → ms when it is forgotten
SLOTS = PREFIX + "slots"  # zset: slot name → s when it counts as dead


def job(job_id: str) -> str:
    """Name the record of a job."""
    return f"{PREFIX}job:{job_id}"


def job_input(job_id: str) -> str:
    """Name the request of a job."""
    return f"{PREFIX}job:{job_id}:in"


def job_output(job_id: str) -> str:
    """Name the outcome of a job."""
    return f"{PREFIX}job:{job_id}:out"


def jobs_of(caller: str) -> str:
    """Name the index of a caller's jobs: a sorted set, job id → ms when it was made."""
    return f"{PREFIX}jobs:{caller}"
