"""Spending: what jobs cost, counted once for each claim, by caller, day (UTC) and model.

    cg:spend:CALLER:DAY  hash    cost, saved in USD; cost:MODEL; tokens:KIND:MODEL; jobs that ended. DAY counts from the
                                 epoch; CALLER is empty for all of them together, with by:CALLER in USD; expires
    cg:spent:CLAIM       string  what was counted of a claim before its run had ended; expires
    cg:prices            hash    model → USD for an input token, by the last run that reported its cost

The CLI reports what a run cost at its end. Of a run that was cut off only tokens are known, as far as the API had
reported them; they are valued at the model's last price, an output token as five of input, one read from Claude's cache
as a tenth, one written to it as one and a quarter: the proportions of Claude's price list.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from shared.store.redis import scripts

KINDS = ("input", "output", "cache_read", "cache_creation")


@dataclass(frozen=True, slots=True)
class Spend:
    """Tokens of one model and their cost in USD, None if it is unknown."""

    model: str
    cost: float | None = None
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_creation: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """A caller's spending on one day; `number` counts days from the epoch."""

    number: int
    cost: float
    saved: float
    jobs: int
    models: list[Spend]


def to_json(spends: Sequence[Spend]) -> str:
    """Return the JSON that the scripts read; an empty text for nothing."""
    entries = [
        {
            "model": spend.model or "unknown",
            # An unknown cost is left out, since cjson's null is not nil.
            **({} if spend.cost is None else {"cost": spend.cost}),
            "tokens": {kind: getattr(spend, kind) for kind in KINDS},
        }
        for spend in spends
        if spend.cost or any(getattr(spend, kind) for kind in KINDS)
    ]
    return json.dumps(entries) if entries else ""


async def read_days(client: redis.asyncio.Redis, caller: str, count: int) -> tuple[int, list[Day]]:
    """Return today and the days with spending of the last `count` days, today among them, in one round trip.

    Today is counted from the epoch by Redis's clock.
    """
    today, found = await _days(client, caller, count)
    return today, [_day(number, fields) for number, fields in found.items()]


async def by_caller_today(client: redis.asyncio.Redis) -> dict[str, float]:
    """Return each caller's spending of today in USD, the largest first."""
    today, days = await _days(client, "", 1)
    found = {name[3:]: float(value) for name, value in days.get(today, {}).items() if name.startswith("by:")}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


async def _days(client: redis.asyncio.Redis, caller: str, count: int) -> tuple[int, dict[int, dict[str, str]]]:
    today, *flat = await scripts.run(client, "spent_days", caller=caller, days=count)
    days = zip(flat[::2], flat[1::2], strict=True)
    return today, {number: dict(zip(fields[::2], fields[1::2], strict=True)) for number, fields in days}


def _day(number: int, fields: dict[str, str]) -> Day:
    tokens: dict[str, dict[str, Any]] = {}
    for field, value in fields.items():
        kind, _, rest = field.partition(":")
        if kind == "tokens":
            name, _, model = rest.partition(":")
            tokens.setdefault(model, {})[name] = int(value)
        elif kind == "cost" and rest:
            tokens.setdefault(rest, {})["cost"] = float(value)
    models = [Spend(model, **counts) for model, counts in sorted(tokens.items())]
    return Day(number, float(fields.get("cost", 0)), float(fields.get("saved", 0)), int(fields.get("jobs", 0)), models)
