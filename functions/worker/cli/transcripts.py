"""The transcripts of sessions for a CLI that started before its job came: it has a session id of its own."""

import json
import re
from pathlib import Path

from functions.worker.cli.gate import Gate
from functions.worker.cli.history import HistorySession
from shared.store.jobs.sessions import Key, Line, StagedSession


class RenamedSession:
    """The session store of a run whose CLI uses another session id; a new session may begin with `copied` lines."""

    def __init__(
        self, session: StagedSession | HistorySession, session_id: str, copied: list[Line] | None = None
    ) -> None:
        self._session, self._session_id = session, session_id
        self._copied = copied or []

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Stage lines of a transcript under the id of the session."""
        copied, self._copied = self._copied, []
        if copied and not key.get("subpath"):
            entries = [*copied, *entries]
        elif copied:
            self._copied = copied
        # The agent that stands for the job's list of tools is no part of the session.
        entries = [line for line in entries if line.get("type") != "agent-setting"]
        await self._session.append({**key, "session_id": self._session_id}, renamed(entries, self._session_id))

    async def load(self, key: Key) -> list[Line] | None:  # noqa: ARG002 -- the SDK's interface
        """Return nothing: the CLI has its transcript."""
        return None


class PausableSession:
    """The session store of a run that may be paused, and may go on after a pause with the call `call_id`.

    What is stored ends with the turn whose call the CLI defers. A CLI that has a message to its job begins a turn with
    it nevertheless, before it exits; the run that goes on receives the message again.

    The CLI continues at the line that a `last-prompt` names. It writes one at its exit, which a pause does not have.
    """

    def __init__(self, session: StagedSession, gate: Gate, call_id: str | None = None) -> None:
        self._session, self._gate, self._call_id = session, gate, call_id
        self._is_deferred = self._is_over = False

    async def append(self, key: Key, entries: list[Line]) -> None:
        """Stage lines of a transcript."""
        staged = []
        for line in entries:
            self._is_over |= self._is_deferred and _is_prompt(line)
            # A session that is forked has lines of earlier pauses.
            self._is_deferred |= bool(self._gate.call_id) and deferred_call(line) == self._gate.call_id
            if not self._is_over:
                staged.append(line)
        await self._session.append(key, staged)

    async def load(self, key: Key) -> list[Line] | None:
        """Return a transcript; the main one continues at the deferred call."""
        lines = await self._session.load(key)
        if not lines or key.get("subpath"):
            return lines
        session_id = key["session_id"]
        last = last_call(lines, self._call_id)
        if last is None:
            return lines
        return [*lines, {"type": "last-prompt", "lastPrompt": "", "leafUuid": last["uuid"], "sessionId": session_id}]

    async def list_subkeys(self, key: Key) -> list[str]:
        """List the subpaths of the session."""
        return await self._session.list_subkeys(key)


def deferred_call(line: Line) -> str | None:
    """Return the id of the call that a line of a transcript has the CLI make when it continues; None for any other."""
    match line:
        case {"uuid": str(), "attachment": {"type": "hook_deferred_tool", "toolUseID": str(call_id)}}:
            return call_id
        case _:
            return None


def _is_prompt(line: Line) -> bool:
    """Return whether a line of a transcript begins a turn."""
    content = line["message"].get("content") if line.get("type") == "user" else ()
    return isinstance(content, str) or any(block.get("type") != "tool_result" for block in content)


def last_call(lines: list[Line], call_id: str | None) -> Line | None:
    """Return the line of a transcript that has the CLI make a call when it continues."""
    return next((line for line in reversed(lines) if call_id and deferred_call(line) == call_id), None)


def renamed(lines: list[Line], session_id: str) -> list[Line]:
    """Return lines of a transcript as those of another session."""
    return [{**line, "sessionId": session_id} if "sessionId" in line else line for line in lines]


def place(lines: list[Line], config: Path, directory: Path, session_id: str) -> None:
    """Write a transcript where a CLI with a working directory looks for the session."""
    folder = config / "projects" / re.sub(r"[^a-zA-Z0-9]", "-", str(directory))
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in renamed(lines, session_id))
    (folder / f"{session_id}.jsonl").write_text(text, encoding="utf-8")
