"""The earlier turns of a request, as the transcript of a session that the run resumes.

The CLI passes the turns to Claude as they are written.
"""

import uuid
from collections.abc import Sequence
from typing import Protocol

from functions.worker.cli.turns import Block, Turn, shown
from shared.store.jobs.sessions import Key, Line

# The id of the resumed session. Every run has its own directories, so that one id serves all.
HISTORY_ID = "01a00000-0000-4000-8000-000000000001"


class Appends(Protocol):
    """The part of a session store that takes what a run adds."""

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Stage lines of a transcript."""


class HistorySession:
    """The SDK's session store of a run with a history; what the run adds goes to `staged`, if the session is kept."""

    def __init__(self, lines: list[Line], staged: Appends | None) -> None:
        self._lines, self._staged = lines, staged

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Stage lines of a transcript."""
        if self._staged is not None:
            await self._staged.append(key, entries)

    async def load(self, key: Key) -> list[Line] | None:
        """Return the transcript of the history; there is no other."""
        return self._lines if key["session_id"] == HISTORY_ID and not key.get("subpath") else None

    async def exists(self, session_id: str) -> bool:
        """Return whether there is a session of that id."""
        return session_id == HISTORY_ID


def transcript(history: Sequence[Turn], attached: Sequence[Block], model: str | None) -> list[Line]:
    """Write turns as the lines of a transcript, each a child of the one before.

    A CLI that receives another model than the transcript's late would add that to the conversation.
    """
    lines: list[Line] = []
    for number, turn in enumerate(history):
        own = {} if turn["role"] == "user" else {"id": f"msg_{number}", "type": "message", "model": model or "history"}
        lines.append(
            {
                "type": turn["role"],
                "uuid": str(uuid.uuid4()),
                "parentUuid": lines[-1]["uuid"] if lines else None,
                "sessionId": HISTORY_ID,
                "isSidechain": False,
                "timestamp": "2026-01-01T00:00:00.000Z",
                "message": {**own, "role": turn["role"], "content": shown(turn["content"], attached)},
            }
        )
    return lines
