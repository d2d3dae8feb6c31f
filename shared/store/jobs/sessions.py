"""Kept conversations: transcripts of the CLI, line by line, as the SDK's session store wants them.

A transcript is a list of JSON lines, `PREFIX:PROJECT:SESSION`, beside it `…:ids` with the uuids in it. A session may
have more of them under subpaths, `…/SUBPATH`, named in the set `…:subs`.
"""

import json
from typing import Any

import redis.asyncio

from shared.store import keys
from shared.store.redis import scripts

# What a turn has said and nobody has taken over: a crash leaves it behind; s.
STAGED_FOR = 86_400
# The SDK tells sessions apart by the working directory too. Ours differs with each run, and means nothing.
_PROJECT = "-"

Key = dict[str, str]
Line = dict[str, Any]


class TranscriptStore:
    """The SDK's `SessionStore` over Redis, without the parts that list sessions."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str, keep_for: int) -> None:
        self._client, self._prefix, self._keep_for = client, prefix, keep_for

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Add lines to a transcript; safe to be sent twice."""
        if not entries:
            return
        subpath = key.get("subpath", "")
        pairs = [part for line in entries for part in (line.get("uuid", ""), json.dumps(line))]
        subs = f"{self._session(key)}:subs" if subpath else ""
        await scripts.run(self._client, "append_session", self._transcript(key), subs, subpath, self._keep_for, *pairs)

    async def load(self, key: Key) -> list[Line] | None:
        """Return a transcript, None for one that was never written; it is kept anew."""
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
        """Forget a transcript; with a session's main one all of it."""
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

    The lines join the kept transcript when the job completes (finish.lua). An attempt that fails leaves no trace.
    """

    def __init__(self, client: redis.asyncio.Redis, caller: str, claim: str, keep_for: int) -> None:
        self._kept = TranscriptStore(client, keys.talks(caller), keep_for)
        self._staged = TranscriptStore(client, keys.turn(claim), STAGED_FOR)
        self._written: set[str] = set()

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Stage lines of a transcript."""
        self._written.add(key["session_id"])
        await self._staged.append({**key, "project_key": _PROJECT}, entries)

    async def forget(self) -> None:
        """Remove what was staged and not taken over, such as what the CLI writes after its answer."""
        for session_id in self._written:
            await self._staged.delete({"project_key": _PROJECT, "session_id": session_id})

    async def load(self, key: Key) -> list[Line] | None:
        """Return a kept transcript; None when there is none, or none any more."""
        return await self._kept.load({**key, "project_key": _PROJECT})

    async def list_subkeys(self, key: Key) -> list[str]:
        """List the subpaths of a kept session."""
        return await self._kept.list_subkeys({**key, "project_key": _PROJECT})

    async def exists(self, session_id: str) -> bool:
        """Return whether there is a kept session of that id."""
        return await self.load({"project_key": _PROJECT, "session_id": session_id}) is not None
