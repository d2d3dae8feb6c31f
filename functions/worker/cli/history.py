"""The earlier turns of a request, as the transcript of a session that the run resumes.

The CLI passes the turns to Claude as they are written. A faster way for some histories would replace `HistorySession`,
and the option `resume` that `options_for` derives from `RunPlan.history`.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from shared.store.jobs.sessions import Key, Line, StagedSession

Turn = dict[str, Any]
# The id of the resumed session. Every run has its own directories, so that one id serves all.
HISTORY_ID = "01a00000-0000-4000-8000-000000000001"


class HistorySession:
    """The SDK's session store of a run with a history; what the run adds goes to `staged`, if the session is kept."""

    def __init__(self, history: Sequence[Turn], staged: StagedSession | None) -> None:
        self._history, self._staged = history, staged

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Stage lines of a transcript."""
        if self._staged is not None:
            await self._staged.append(key, entries)

    async def load(self, key: Key) -> list[Line] | None:
        """Return the transcript of the history; there is no other."""
        return transcript(self._history) if key["session_id"] == HISTORY_ID and not key.get("subpath") else None

    async def exists(self, session_id: str) -> bool:
        """Return whether there is a session of that id."""
        return session_id == HISTORY_ID


def split(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """Return the history of a request as turns of alternating roles, and the content that precedes its query.

    As in the Messages API, consecutive turns of one role are one turn; the CLI would add line breaks between them.
    """
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1]["role"] == turn["role"]:
            joined[-1] = {**turn, "content": [*joined[-1]["content"], *turn["content"]]}
        else:
            joined.append(turn)
    before = joined.pop()["content"] if joined and joined[-1]["role"] == "user" else ()
    return tuple(joined), tuple(before)


def transcript(history: Sequence[Turn]) -> list[Line]:
    """Write turns as the lines of a transcript, each a child of the one before."""
    lines: list[Line] = []
    for number, turn in enumerate(history):
        own = {} if turn["role"] == "user" else {"id": f"msg_{number}", "type": "message", "model": "history"}
        lines.append(
            {
                "type": turn["role"],
                "uuid": str(uuid.uuid4()),
                "parentUuid": lines[-1]["uuid"] if lines else None,
                "sessionId": HISTORY_ID,
                "isSidechain": False,
                "timestamp": "2026-01-01T00:00:00.000Z",
                "message": {**own, **turn},
            }
        )
    return lines
