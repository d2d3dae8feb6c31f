"""The counts of what MCP servers were used for, by the digest of a server's entry; see `shared/mcp/learned.py`.

A server has a string of at most 8 KiB for each period of 30 days, which is read in that period and the next one.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis.asyncio

from shared.mcp.learned import pair_of
from shared.store import keys
from shared.store.redis import scripts

PERIOD = 30 * 86_400
# Jobs of a caller that count each day, so that no caller alone decides.
MOST_A_DAY = 200


async def count(client: redis.asyncio.Redis, caller: str, servers: Mapping[str, bool], pairs: Iterable[int]) -> bool:
    """Count a job: the digests of the servers that it was offered, each with whether it used them, and its words.

    Return False when the caller has had its share of the day.
    """
    used = " ".join("1" if is_used else "0" for is_used in servers.values())
    numbers = " ".join(map(str, (0, *pairs)))
    reply = await scripts.run(
        client, "learn", caller=caller, most=MOST_A_DAY, servers=" ".join(servers), used=used, period_ms=1000 * PERIOD,
        pairs=numbers,
    )  # fmt: skip
    return bool(reply)


async def read(client: redis.asyncio.Redis, digests: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the counts of the named servers that have any, the present period first."""
    if not digests:
        return {}
    period = _period()
    found: list[Any] = await client.mget([_key(one, period - ago) for one in digests.values() for ago in (0, 1)])
    counts = {name: [one for one in found[2 * place : 2 * place + 2] if one] for place, name in enumerate(digests)}
    return {name: some for name, some in counts.items() if some}


async def totals(client: redis.asyncio.Redis, digests: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Return for each named server how many jobs were offered it and how many used it, at most 127 a period."""
    found = await read(client, digests)
    return {name: pair_of(found.get(name, ()), 0) for name in digests}


async def forget(client: redis.asyncio.Redis, digests: Sequence[str]) -> None:
    """Delete what was learned of servers."""
    period = _period()
    # The next one too: the clock of the server may be ahead.
    if names := [_key(digest, period + shift) for digest in digests for shift in (-2, -1, 0, 1)]:
        await client.delete(*names)


def _period() -> int:
    return int(time.time()) // PERIOD


def _key(digest: str, period: int) -> str:
    return f"{keys.PREFIX}learned:{digest}:{period}"
