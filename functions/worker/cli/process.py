"""One process of the CLI: started in directories of its own, asked once, and ended with all that it started."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient
from claude_agent_sdk.types import Message

from functions.worker.cli.workspace import Workspace
from functions.worker.relay.relay import Line
from functions.worker.relay.run import RelayedRun
from shared.host import processes

log = logging.getLogger("worker.cli")

# A CLI that has answered ends by itself within this, and what a CLI had started within the same; s.
GRACE = 1.0
# When memory runs out, the kernel is to end a run and not the worker.
_FIRST_TO_DIE = "1000"
# What it says before it ends by a schema that it cannot use.
_NO_SCHEMA = "--json-schema is not a valid JSON Schema"

Spared = Callable[[], Awaitable[set[int]]]
"""Tells which processes of this slot are not a run's."""


class Cli:
    """A process of the CLI and its directories, from `start` to `end`.

    `refused_schema` says that it ended because it cannot use its schema, although that was written for it.
    """

    def __init__(self, workspace: Workspace, options: ClaudeAgentOptions, line: Line | None = None) -> None:
        self._workspace = workspace
        self._line = line
        # Not to the worker's log: it may hold what a client sent, line breaks too.
        self._client = ClaudeSDKClient(replace(options, stderr=self._note))
        self._starting: asyncio.Task[None] | None = None
        self.refused_schema = False

    def _note(self, line: str) -> None:
        self.refused_schema |= _NO_SCHEMA in line

    def begin(self) -> asyncio.Task[None]:
        """Begin to start it, once; the task ends when it has said hello, and raises whatever the SDK does."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return self._starting

    async def start(self) -> None:
        """Start it, or go on with its start, and wait until it has said hello; see `begin`."""
        await self.begin()

    async def _start(self) -> None:
        if self._line is not None:
            await self._line.open(self._workspace.socket)
        await self._client.connect()
        with suppress(OSError):
            processes.write_oom_score(self.pid, _FIRST_TO_DIE)

    @property
    def folder(self) -> Path:
        """The directory of its run."""
        return self._workspace.root

    @property
    def failed(self) -> bool:
        """Whether its start has failed."""
        return (
            self._starting is not None
            and self._starting.done()
            and bool(self._starting.cancelled() or self._starting.exception())
        )

    @property
    def pid(self) -> int | None:
        """The process's number; None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def _process(self) -> Any:
        # The SDK keeps it to itself.
        return getattr(getattr(self._client, "_transport", None), "_process", None)

    @property
    def alive(self) -> bool:
        """Whether the process runs: asked of the kernel, for asyncio may not have heard of its end yet."""
        if self.pid is None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    async def ask(self, prompt: AsyncIterator[dict[str, Any]]) -> AsyncIterator[Message]:
        """Send the prompt and yield what comes, to the end of the output."""
        await self._client.query(prompt)
        async for message in self._client.receive_messages():
            yield message

    def begin_relaying(self, run: RelayedRun | None) -> None:
        """Let it ask Claude through its relay, if it has one."""
        if self._line is not None and run is not None:
            self._line.begin(run)

    def end_relaying(self) -> None:
        """Let nothing of it ask Claude any more, and end what is asked."""
        if self._line is not None:
            self._line.end()

    async def let_go(self) -> None:
        """Let a CLI that has answered go by itself, at the end of its input."""
        if self._process is not None:
            with suppress(Exception):  # it may be gone already
                await self._client._transport.end_input()  # type: ignore[union-attr]  # noqa: SLF001
                async with asyncio.timeout(GRACE):
                    await self._process.wait()

    async def wait(self) -> None:
        """Wait for the end of a started process."""
        if self._process is not None:
            await self._process.wait()

    def silence(self) -> None:
        """End the CLI alone, at once: ending in its own way it may ask the API once more, and that is paid for."""
        if self.pid is not None and self.alive:
            processes.send(signal.SIGKILL, [self.pid])

    async def kill(self) -> None:
        """End one that was never asked anything."""
        if self.pid is not None and self.alive:
            processes.send(signal.SIGKILL, [self.pid, *processes.descendants(self.pid)])
        await self.close()

    async def end(self, spared: Spared) -> None:
        """End every process of this slot but the spared: what a run started may hide anywhere below the slot."""
        await processes.end_descendants(spared, reaped=self.pid, grace=GRACE)

    async def close(self) -> None:
        """Close the streams of one that has ended, and remove its directories."""
        process = self._process
        if self._line is not None:
            await self._line.close()
        with suppress(Exception):  # it only closes its streams now
            await self._client.disconnect()
        if process is not None:
            # The SDK leaves its end of a pipe open that still holds what nobody read.
            with suppress(Exception):
                await process.aclose()
        await asyncio.to_thread(self._workspace.remove)
