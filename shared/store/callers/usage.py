"""Usage: what the jobs of a day used, by caller, key, tag and model.

    cg:usage:CALLER:DAY  hash  KEY, TAG, MODEL and WHAT, a line each → amount; KEY and TAG → 0 for each pair that is
                               known. WHAT is cost and saved in USD, jobs, and tokens by kind; expires
    cg:users:DAY         set   callers that have usage of the day, which counts from the epoch; expires

Jobs and saved costs have no model: a job may use several. KEY is the beginning of a key's digest, TAG the value of the
metadata that `USAGE_TAG` names.
"""

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields

import redis.asyncio

from shared.store import keys
from shared.store.redis import clock
from shared.store.redis.pipelining import get

_DAY = 86_400_000
_AT_ONCE = 100
# Characters of a tag that are counted.
LONGEST_TAG = 64

# The short id of the key of the request that is handled; empty without keys.
current_key: ContextVar[str] = ContextVar("current_key", default="")


def label(tag: str) -> str:
    """Return the label of a submission: its key, and the printable beginning of its tag; `""` without both."""
    tag = tag[:LONGEST_TAG]
    if not tag.isprintable():
        tag = "".join(one if one.isprintable() else " " for one in tag)
    key = current_key.get()
    return f"{key}\n{tag}" if key or tag else ""


@dataclass(slots=True)
class Usage:
    """Amounts: USD, jobs and tokens."""

    cost: float = 0.0
    saved: float = 0.0
    jobs: float = 0
    input: float = 0
    output: float = 0
    cache_read: float = 0
    cache_creation: float = 0

    def add(self, what: str, amount: float) -> None:
        """Add to one of the amounts; an unknown one is of a later version."""
        if what in _AMOUNTS:
            setattr(self, what, getattr(self, what) + amount)


_AMOUNTS = {one.name for one in fields(Usage)}


@dataclass(frozen=True, slots=True)
class Group:
    """What usage is added up by; a field that is not asked for is None. `day` counts from the epoch."""

    day: int | None
    caller: str | None
    key: str | None
    model: str | None
    tag: str | None


def hash_of(caller: str, day: int) -> str:
    """Name the hash of a caller's usage on a day since the epoch."""
    return f"{keys.PREFIX}usage:{caller}:{day}"


async def read(
    client: redis.asyncio.Redis, days: int, by: Sequence[str], caller: str | None = None
) -> tuple[int, dict[Group, Usage]]:
    """Return today and the usage of the last `days` days of a caller, or of all, the latest first.

    `by` names fields of `Group`.
    """
    if caller is None:
        today, users = await _users(client, days)
        wanted = [(day, one) for day in range(today, today - days, -1) for one in users[day]]
    else:
        today = await clock.now(client) // _DAY
        wanted = [(day, caller) for day in range(today, today - days, -1)]
    found: dict[Group, Usage] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        hashes = await get(client, *(("HGETALL", hash_of(one, day)) for day, one in some))
        for (day, one), amounts in zip(some, hashes, strict=True):
            _add(found, day, one, by, amounts)
    return today, found


async def _users(client: redis.asyncio.Redis, days: int) -> tuple[int, dict[int, list[str]]]:
    """Return today by Redis's clock, and who used the gateway on each of the last days.

    One round trip when this host's clock differs from Redis's by less than a day, else two.
    """
    near = int(time.time() * 1000) // _DAY
    while True:
        numbers = range(near + 1, near - days - 1, -1)
        sets = (("SMEMBERS", f"{keys.PREFIX}users:{day}") for day in numbers)
        now, *users = await get(client, clock.TIME, *sets)
        today = clock.milliseconds(now) // _DAY
        if abs(today - near) <= 1:
            return today, {day: sorted(names) for day, names in zip(numbers, users, strict=True)}
        near = today


def _add(found: dict[Group, Usage], day: int, caller: str, by: Sequence[str], amounts: dict[str, str]) -> None:
    for name, amount in amounts.items():
        key, _, rest = name.partition("\n")
        tag, _, rest = rest.partition("\n")
        model, _, what = rest.rpartition("\n")
        if what:
            every = {"day": day, "caller": caller, "key": key, "model": model, "tag": tag}
            group = Group(**{field: value if field in by else None for field, value in every.items()})  # type: ignore[arg-type]
            found.setdefault(group, Usage()).add(what, float(amount))
