"""Kept sessions: transcripts of the CLI, line by line, in the form of the SDK's session store.

A transcript is a list of JSON lines, `PREFIX:PROJECT:SESSION`, with a set `…:ids` of the uuids in it. A session may
have more transcripts under subpaths, `…/SUBPATH`, which the set `…:subs` names.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

import redis.asyncio

from shared.store import keys
from shared.store.redis import clock, scripts
from shared.store.redis.pipelining import get

# s. A crash leaves staged transcripts behind.
STAGED_FOR = 86_400
# Bytes and subpaths that one run may add to its session: they are kept in Redis.
LARGEST, MOST_SUBPATHS = 64 << 20, 1000
# The names of subagents' transcripts, as they are parts of the names of keys and of files.
_SUBPATH = re.compile(r"subagents(/[\w-][\w.-]{0,99}){1,4}", re.ASCII)
# The SDK distinguishes sessions by the working directory too. Every run has another one, so that it is ignored.
_PROJECT = "-"

Key = dict[str, str]
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept session; `expires` in ms, `waiting` counts the jobs that continue it and have not ended."""

    caller: str
    session_id: str
    expires: int
    bytes: int
    waiting: int


async def every(client: redis.asyncio.Redis, *, limit: int, before: int | None) -> tuple[list[Kept], int | None]:
    """List the kept sessions of all callers, the last to expire first.

    Also return the place where this page ended; None at the end of the list.
    """
    found: list[tuple[str, float]] = []
    edge, at_end = "+inf" if before is None else f"({before}", False
    while len(found) <= limit and not at_end:
        some = cast(
            "list[tuple[str, float]]",
            await client.zrange(
                keys.SESSIONS, edge, "-inf", desc=True, byscore=True, offset=0, num=limit + 1, withscores=True
            ),
        )
        at_end = len(some) <= limit
        # Beside the sessions the set counts what expires within a day, by the hour.
        found += [one for one in some if ":hour " not in one[0]]
        edge = f"({int(some[-1][1])}" if some else edge
    shown = found[:limit]
    named = [name.partition(":")[::2] for name, _ in shown]
    commands = [("HMGET", keys.SESSION_BYTES, *(name for name, _ in shown))] if shown else []
    for caller, session in named:
        commands += [
            ("PTTL", f"{keys.transcripts(caller)}:{_PROJECT}:{session}"),
            ("LLEN", f"{keys.PREFIX}turns:{caller}:{session}"),
        ]
    now, sizes, rest = 0, [], []
    if shown:
        time, sizes, *rest = await get(client, clock.TIME, *commands)
        now = clock.milliseconds(time)
    kept = [
        Kept(caller, session, now + left, int(size or 0), waiting)
        for (caller, session), size, left, waiting in zip(named, sizes, rest[::2], rest[1::2], strict=True)
        if left > 0
    ]
    return kept, int(shown[-1][1]) if len(found) > limit else None


class TranscriptStore:
    """The SDK's `SessionStore` in Redis, without the parts that list sessions."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str, keep_for: int) -> None:
        self._client, self._prefix, self._keep_for = client, prefix, keep_for

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Append lines to a transcript; safe to send twice."""
        if not entries:
            return
        subpath = key.get("subpath", "")
        pairs = [part for line in entries for part in (line.get("uuid", ""), json.dumps(line))]
        subs = f"{self._session(key)}:subs" if subpath else ""
        await scripts.run(
            self._client, "append_session", transcript=self._transcript(key), subpaths=subs, subpath=subpath,
            keep_s=self._keep_for, lines=pairs,
        )  # fmt: skip

    async def load(self, key: Key) -> list[Line] | None:
        """Return a transcript, or None when there is none; restart the time for which it is kept."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.lrange(self._transcript(key), 0, -1)
            for name in (self._transcript(key), f"{self._transcript(key)}:ids", f"{self._session(key)}:subs"):
                pipe.expire(name, self._keep_for)
            lines = (await pipe.execute())[0]
        return [json.loads(line) for line in lines] or None

    async def list_subkeys(self, key: Key) -> list[str]:
        """List the subpaths of a session."""
        found: Any = await self._client.smembers(f"{self._session(key)}:subs")
        return sorted(found)

    async def delete(self, key: Key) -> None:
        """Delete a transcript; with the main one the whole session."""
        main = self._session(key)
        gone = [key["subpath"]] if key.get("subpath") else await self.list_subkeys(key)
        names = [f"{main}/{subpath}{end}" for subpath in gone for end in ("", ":ids")]
        async with self._client.pipeline(transaction=True) as pipe:
            if key.get("subpath"):
                pipe.srem(f"{main}:subs", key["subpath"])
            else:
                names += [main, f"{main}:ids", f"{main}:subs"]
            if names:
                pipe.delete(*names)
            await pipe.execute()

    def _session(self, key: Key) -> str:
        return f"{self._prefix}:{key['project_key']}:{key['session_id']}"

    def _transcript(self, key: Key) -> str:
        return self._session(key) + (f"/{key['subpath']}" if key.get("subpath") else "")


class StagedSession:
    """The session store of one run: it reads the kept transcript, and stages what the run adds.

    The lines join the kept transcript when the job completes (finish.lua). An attempt that fails leaves no trace. A
    tool can write to the CLI's output, and so choose lines and names: only those of this session are staged, up to
    LARGEST bytes in all.
    """

    def __init__(
        self, client: redis.asyncio.Redis, caller: str, claim: str, keep_for: int, session_id: str, job_id: str = ""
    ) -> None:
        self._kept = TranscriptStore(client, keys.transcripts(caller), keep_for)
        self._staged = TranscriptStore(client, keys.staged_transcripts(claim), STAGED_FOR)
        self._session_id = session_id
        self._client, self._paused = client, f"{keys.staged_transcripts(job_id)}-paused:{_PROJECT}"
        self._subpaths: set[str] = set()
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether the run has tried to add more than a session takes."""
        return self._size > LARGEST or len(self._subpaths) > MOST_SUBPATHS

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Stage lines of a transcript of this session; ignore those of another. Raise ValueError when it is full."""
        subpath = key.get("subpath", "")
        if key["session_id"] != self._session_id or (subpath and not _SUBPATH.fullmatch(subpath)):
            return
        if subpath:
            self._subpaths.add(subpath)
        self._size += sum(len(json.dumps(line)) for line in entries)
        if self.is_full:
            raise ValueError("the run adds too much to its session")
        await self._staged.append({**key, "project_key": _PROJECT}, entries)

    async def forget(self) -> None:
        """Delete staged lines that did not join the kept transcript, such as those written after the answer."""
        if self._size:
            await self._staged.delete({"project_key": _PROJECT, "session_id": self._session_id})

    async def load(self, key: Key) -> list[Line] | None:
        """Return a kept transcript, with what the job's runs added before its pauses; None when there is none."""
        kept = await self._kept.load({**key, "project_key": _PROJECT}) or []
        subpath = f"/{key['subpath']}" if key.get("subpath") else ""
        added: Any = await self._client.lrange(f"{self._paused}:{key['session_id']}{subpath}", 0, -1)
        return [*kept, *map(json.loads, added)] or None

    async def list_subkeys(self, key: Key) -> list[str]:
        """List the subpaths of a kept session, with those of before the job's pauses."""
        added: Any = await self._client.smembers(f"{self._paused}:{key['session_id']}:subs")
        return sorted({*added, *await self._kept.list_subkeys({**key, "project_key": _PROJECT})})

    async def transcript(self, session_id: str) -> list[Line] | None:
        """Return the kept transcript of a session; None when there is none."""
        return await self.load({"project_key": _PROJECT, "session_id": session_id})

    async def subpaths(self, session_id: str) -> list[str]:
        """List the subpaths of a kept session, which have transcripts of their own."""
        return await self.list_subkeys({"project_key": _PROJECT, "session_id": session_id})
