"""The overview: what is wrong now, the queue, the slots, the spending of today, and what jobs did over time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from functions.admin.causes import Cause, causes
from shared.api.times import rfc3339, when
from shared.api.vocabulary import PRIORITIES
from shared.configuration.settings import AdminSettings
from shared.store.fleet import counters, overview, series
from shared.store.fleet.slot_names import host_of
from shared.store.jobs import operations
from shared.store.redis.client import async_client

Span = series.Span
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_ENDS = ("completed", "failed", "cancelled")


async def read(span: Span, settings: AdminSettings) -> dict[str, Any]:
    """Return the overview; the calls share a round trip."""
    client = async_client(settings.redis_address)
    counted, seen, cached, minutes, longer = await asyncio.gather(
        counters.read(client),
        overview.read(client, settings.daily_budget_usd),
        operations.cached_answers(client),
        series.read(client, "1h"),
        _no_points() if span == "1h" else series.read(client, span),
    )
    jobs = counted.jobs
    depth = (jobs["waiting"] + jobs["delayed"]) / settings.max_queue_depth
    found = causes(seen, jobs["waiting"], depth, minutes)
    return {
        "at": rfc3339(seen.now),
        "causes": [_cause(one) for one in found],
        "queue": _queue(seen, counted),
        "slots": [_slot(one) for one in seen.slots],
        "spend": _spend(seen, settings),
        "cache": _cache(counted, cached),
        "webhooks": {"pending": int(counted.counters.get("webhooks_pending", 0)), "failingHosts": seen.failing},
        "series": _series(span, longer or minutes),
    }


async def _no_points() -> list[series.Point]:
    return []


def _cause(one: Cause) -> dict[str, Any]:
    return {"code": one.code, "text": one.text, "since": when(one.since), "link": one.link, "guide": one.guide}


def _queue(seen: overview.Overview, counted: counters.Metrics) -> dict[str, Any]:
    hold = seen.hold
    return {
        "jobs": counted.jobs,
        "oldestWaitingMs": counted.oldest,
        "byPriority": dict(zip(PRIORITIES, seen.waiting, strict=True)),
        "byCaller": [
            {"caller": one.caller, "name": one.name, "waiting": one.waiting, "active": one.active}
            for one in seen.callers
        ],
        "hold": hold and {"reason": hold.reason, "since": when(hold.since), "until": when(hold.until), "by": hold.by},
    }


def _slot(one: overview.SlotState) -> dict[str, Any]:
    return {
        "slot": one.slot,
        "host": host_of(one.slot),
        "live": one.is_live,
        "lastSeenMs": one.seen,
        "memoryBytes": one.memory,
        "jobId": one.job_id,
        "caller": one.caller,
        "elapsedMs": one.elapsed,
        "waitingFor": one.waits_for,
    }


def _spend(seen: overview.Overview, settings: AdminSettings) -> dict[str, Any]:
    return {
        "todayUsd": seen.spent,
        "dailyBudgetUsd": settings.daily_budget_usd,
        "callers": [
            {"caller": one.caller, "name": one.name, "costUsd": one.cost, "budgetUsd": one.budget}
            for one in seen.spenders
        ],
    }


def _cache(counted: counters.Metrics, cached: int) -> dict[str, Any]:
    counts = counted.counters
    return {
        "entries": cached,
        "hits": int(counts.get("cache_hits", 0)),
        "misses": int(counts.get("cache_misses", 0)),
        "savedUsd": float(counts.get("cache_saved_usd", 0)),
    }


def _series(span: Span, points: Sequence[series.Point]) -> dict[str, Any]:
    errors: Counter[str] = Counter()
    for one in points:
        errors.update(one.errors)
    return {
        "span": span,
        "stepSeconds": series.step(span),
        "waitMs": _percentiles(series.total(one.waits for one in points)),
        "runMs": _percentiles(series.total(one.runs for one in points)),
        "ended": {state: sum(one.ended[state] for one in points) for state in _ENDS},
        "errors": dict(errors.most_common()),
        "points": [
            {
                "at": rfc3339(one.at),
                **{state: one.ended[state] for state in _ENDS},
                "errors": dict(one.errors.most_common()),
                "waitMs": _percentiles(one.waits),
                "runMs": _percentiles(one.runs),
            }
            for one in points
        ],
    }


def _percentiles(durations: series.Durations) -> dict[str, int | None]:
    return dict(zip(_SHARES, series.percentiles(durations, tuple(_SHARES.values())), strict=True))
