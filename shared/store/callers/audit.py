"""The audit list: who did what. Entries are appended and never changed; those of a source end by age and by number.

    cg:audit:SOURCE  stream  SEQ-0 → id, at (ms), entry (JSON). SEQ is one sequence over all sources

What callers do, and failed logins, are in lists of their own, so that they cannot displace what operators did.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

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
    via: Literal["admin_api", "command_line", "api"]
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
    edge = "+" if before is None else f"({before}-0"
    sources = (("XREVRANGE", keys.audit(source), edge, "-", "COUNT", limit + 1) for source in MOST)
    time, *lists = await get(client, clock.TIME, *sources)
    oldest = clock.milliseconds(time) - keep_for * 1000
    found = sorted((_entry(*one) for entries in lists for one in entries), key=lambda one: -one.number)
    shown = [one for one in found if one.at > oldest][: limit + 1]
    return shown[:limit], shown[limit - 1].number if len(shown) > limit else None


def _entry(place: str, fields: list[str] | dict[str, str]) -> Entry:
    known = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    act = cast("dict[str, Any]", json.loads(known["entry"]))
    return Entry(int(place.partition("-")[0]), int(known["at"]), Act(**act))
