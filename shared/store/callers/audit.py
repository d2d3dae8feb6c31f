"""The audit list: who did what. Entries are appended and never changed; those of a source end by age and by number.

    cg:audit:SOURCE  stream  SEQ-0 → id, at (ms), entry (JSON). SEQ is one sequence over all sources

What callers do, and failed logins, are in lists of their own, so that they cannot displace what operators did.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import redis.asyncio

from shared.api.ids import new_id
from shared.store import keys
from shared.store.redis import clock, scripts
from shared.store.redis.pipelining import get

Source = Literal["operators", "callers", "logins"]
# Entries that are kept of each source.
MOST: dict[Source, int] = {"operators": 100_000, "callers": 20_000, "logins": 2_000}


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did: `actor` is an operator's name or a caller's id, `details` what it was done to."""

    action: str
    actor: str
    via: Literal["admin_api", "command_line", "api", "url"]
    details: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the list; `at` in ms, `number` is its place."""

    number: int
    at: int
    act: Act


async def append(client: redis.asyncio.Redis, source: Source, act: Act, *, keep_for: int) -> None:
    """Append an entry, and delete those of its source that are older than `keep_for` s."""
    await scripts.run(
        client, "append_audit", source=source, entry_id=new_id(), entry=json.dumps(asdict(act)), most=MOST[source],
        keep_ms=keep_for * 1000,
    )  # fmt: skip


async def page(
    client: redis.asyncio.Redis, *, limit: int, before: int | None, keep_for: int
) -> tuple[list[Entry], int | None]:
    """List entries, the newest first, in one round trip; those older than `keep_for` s are not shown.

    `before` is the place where an earlier page ended. Also return where this page ended; None at the end.
    """
    # Nothing is before the first entry; Redis refuses the range before 0.
    edge = "+" if before is None else f"({max(before, 1)}-0"
    sources = (("XREVRANGE", f"{keys.PREFIX}audit:{source}", edge, "-", "COUNT", limit + 1) for source in MOST)
    time, *lists = await get(client, clock.TIME, *sources)
    oldest = clock.milliseconds(time) - keep_for * 1000
    found = [(int(place.partition("-")[0]), fields) for entries in lists for place, fields in entries]
    shown = sorted((one for one in found if int(one[1]["at"]) > oldest), key=lambda one: -one[0])[: limit + 1]
    entries = [Entry(number, int(fields["at"]), Act(**json.loads(fields["entry"]))) for number, fields in shown[:limit]]
    return entries, entries[-1].number if len(shown) > limit else None
