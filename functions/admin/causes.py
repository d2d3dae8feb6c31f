"""What is wrong with the deployment now, in one sentence each, the worst first."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from shared.store.fleet.overview import Overview, SlotState
from shared.store.fleet.series import Point

# A worker reports every 2 s and a slot every 5 s: one that has missed reports may be lost. ms.
_WORKER_STALE_AFTER, _SLOT_STALE_AFTER = 6000, 8000
# A caller floods the queue with this many waiting jobs, and so many for each live slot, that are more than half of all.
_FLOOD, _FLOOD_PER_SLOT = 20, 4
# The share of MAX_QUEUE_DEPTH from which the queue is nearly full.
_NEARLY_FULL = 0.9
# Failures count over the last minutes, from this number and this share on.
_FAILING_MINUTES, _FAILING_JOBS, _FAILING_SHARE = 10, 5, 0.5
# Workers that are named at most.
_MOST_NAMED = 3

_CLAUDE = "docs/operations.md#when-claude-refuses-or-limits-requests"
_WAITING = "docs/troubleshooting.md#waiting-jobs"
_REFUSED = {
    "authentication_failed": "Claude refuses the gateway's credentials",
    "billing_error": "Claude reports a billing problem of the gateway's account",
}
# What a running job waits for, if it is Claude.
_WAITS = {
    "overloaded": "Claude is overloaded",
    "server_error": "Claude fails or does not answer",
    "rate_limited": "Claude limits the rate",
}
# In the order in which they are named when several apply.
_WRITES = {
    "OOM": ("redis_full", "Redis is full. New jobs are refused; running jobs can still end"),
    "READONLY": ("redis_read_only", "Redis accepts no writes, because it is a replica"),
    "MISCONF": ("redis_disk", "Redis accepts no writes, because it cannot save to its disk"),
    "NOREPLICAS": ("redis_replicas", "Redis accepts no writes, because too few replicas follow it"),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that is wrong: `since` in ms, `link` the dashboard's page and `guide` the section that help."""

    code: str
    text: str
    link: str
    guide: str
    since: int | None = None


def causes(seen: Overview, waiting: int, depth: float, minutes: Sequence[Point]) -> list[Cause]:
    """Return what is wrong; `waiting` counts all waiting jobs, `minutes` are the last ones, the oldest first.

    `depth` is the share of MAX_QUEUE_DEPTH that is in use.
    """
    return [
        *_store(seen),
        *_workers(seen),
        *_holds(seen),
        *_claude(seen),
        *_full(depth),
        *_flood(seen, waiting),
        *_failures(minutes),
        *_budgets(seen),
        *_webhooks(seen),
    ]


def _store(seen: Overview) -> Iterator[Cause]:
    if seen.refused is not None:
        word = seen.refused.split(maxsplit=1)[0].lstrip("-")
        code, text = _WRITES.get(word, ("redis_refuses", "Redis accepts no writes"))
        yield Cause(code, text, "#/jobs?state=completed", "docs/operations.md#redis-errors")


def _workers(seen: Overview) -> Iterator[Cause]:
    guide = "docs/operations.md#failure-recovery"
    if not any(one.is_live for one in seen.workers):
        yield Cause("no_worker", "No worker is alive: no job starts", "#/system", _WAITING)
    stale = [one for one in seen.workers if one.seen > _WORKER_STALE_AFTER]
    for worker in stale[:_MOST_NAMED]:
        text = f"The worker {worker.name} has not reported for {_seconds(worker.seen)}"
        yield Cause("worker_stale", f"{text}{_more(stale)}", "#/system", guide, seen.now - worker.seen)
    silent = {one.name for one in stale}
    slots = [one for one in seen.slots if one.seen > _SLOT_STALE_AFTER and one.slot.rpartition("-")[0] not in silent]
    known = {one.name for one in seen.workers}
    slots = [one for one in slots if one.slot.rpartition("-")[0] in known]
    if slots:
        text = f"The slot {slots[0].slot} has not reported for {_seconds(slots[0].seen)}"
        others = f", and {len(slots) - 1} more of live workers" if len(slots) > 1 else ""
        yield Cause("slot_stale", f"{text}{others}", "#/system", guide, seen.now - slots[0].seen)


def _holds(seen: Overview) -> Iterator[Cause]:
    hold = seen.hold
    if hold is None:
        if seen.refusals:
            refused = _REFUSED.get(seen.refusal or "", "Claude refuses the gateway's requests")
            times = "the last job was refused" if seen.refusals == 1 else f"the last {seen.refusals} jobs were refused"
            yield Cause("credentials_refused", f"{refused}: {times}", "#/system", _CLAUDE)
    elif hold.reason == "paused":
        by = f" by {hold.by}" if hold.by else ""
        yield Cause("paused", f"The queue is paused{by}: no job starts", "#/", _WAITING, hold.since)
    elif hold.reason == "rate_limited":
        left = f" for {_seconds(max(0, hold.until - seen.now))} more" if hold.until else ""
        yield Cause("rate_limited", f"Claude's rate limit holds the queue{left}", "#/system", _CLAUDE, hold.since)
    else:
        refused = _REFUSED.get(hold.reason, "Claude refuses the gateway's requests")
        text = f"{refused}. The queue is held; one job every 30 s tries again"
        yield Cause("credentials_refused", text, "#/system", _CLAUDE, hold.since)


def _claude(seen: Overview) -> Iterator[Cause]:
    running = [one for one in seen.slots if one.is_live and one.job_id]
    for code, what in _WAITS.items():
        # The rate limit of a caller's own account concerns no other caller.
        jobs = [one for one in running if one.waits_for == code and not (code == "rate_limited" and one.own_credential)]
        if jobs:
            since = min((one.waits_since for one in jobs if one.waits_since), default=None)
            text = f"{what}: {len(jobs)} of {len(running)} running jobs {_verb(jobs, 'waits', 'wait')} for it"
            yield Cause(f"claude_{code}", text, "#/jobs?state=active", _CLAUDE, since)


def _full(depth: float) -> Iterator[Cause]:
    if depth >= _NEARLY_FULL:
        text = "The queue is full: new jobs are refused" if depth >= 1 else f"The queue is {depth:.0%} full"
        yield Cause("queue_full", text, "#/jobs?state=waiting", "docs/troubleshooting.md#errors-of-requests")


def _flood(seen: Overview, waiting: int) -> Iterator[Cause]:
    live = sum(one.is_live for one in seen.slots)
    if seen.callers:
        first = seen.callers[0]
        if first.waiting >= max(_FLOOD, _FLOOD_PER_SLOT * live) and first.waiting * 2 > waiting:
            text = f"The caller {first.name} floods the queue: {first.waiting:,} of {waiting:,} waiting jobs are its"
            link = f"#/jobs?state=waiting&caller={quote(first.caller)}"
            yield Cause("caller_floods", text, link, _WAITING)


def _failures(minutes: Sequence[Point]) -> Iterator[Cause]:
    last = minutes[-_FAILING_MINUTES:]
    errors: Counter[str] = sum((one.errors for one in last), Counter())
    failed = errors.total()
    ended = failed + sum(one.ended["completed"] for one in last)
    if failed >= _FAILING_JOBS and failed >= _FAILING_SHARE * ended:
        code, count = errors.most_common(1)[0]
        text = f"{failed:,} of {ended:,} jobs of the last {_FAILING_MINUTES} minutes failed, {count:,} with {code}"
        link = f"#/jobs?state=failed&code={quote(code)}"
        yield Cause("jobs_fail", text, link, "docs/troubleshooting.md#errors-of-jobs")


def _budgets(seen: Overview) -> Iterator[Cause]:
    for one in seen.exhausted[:1]:
        more = f", and {len(seen.exhausted) - 1} more callers" if len(seen.exhausted) > 1 else ""
        spent = f"The caller {one.name} has spent its budget of today, ${one.budget:,.2f}{more}"
        yield Cause("budget_reached", f"{spent}: its jobs wait for the next day", "#/callers", _WAITING)


def _webhooks(seen: Overview) -> Iterator[Cause]:
    for host in seen.hosts[:1]:
        attempts = "attempt" if host.failures == 1 else "attempts"
        more = f", and {seen.failing - 1:,} more" if seen.failing > 1 else ""
        paused = " It gets no more deliveries" if host.paused else ""
        text = f"The webhook host {host.host} fails: {host.failures:,} {attempts} in a row{more}.{paused}".rstrip(".")
        yield Cause("webhook_host_fails", text, "#/webhooks", "docs/troubleshooting.md#missing-webhooks", host.failing)


def _seconds(ms: int) -> str:
    return f"{round(ms / 1000)} s"


def _more(stale: Sequence[object]) -> str:
    return f", and {len(stale) - _MOST_NAMED} more" if len(stale) > _MOST_NAMED else ""


def _verb(jobs: Sequence[SlotState], one: str, many: str) -> str:
    return one if len(jobs) == 1 else many
