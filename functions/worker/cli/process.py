"""One process of the CLI: it starts in its own directories, gets one query, and ends with all its child processes."""

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

from functions.worker.cli.mcp_broker import Broker
from functions.worker.cli.workspace import Workspace
from functions.worker.relay.relay import Line
from functions.worker.relay.run import RelayedRun
from shared.host import processes

log = logging.getLogger("worker.cli")

# Seconds that a CLI that has answered, and then the processes that it started, have to exit by themselves.
GRACE = 1.0
# When memory runs out, the kernel kills a run and not the worker.
_RUN_OOM_SCORE = "1000"
# Output of the CLI before it exits because it cannot use a schema.
_INVALID_SCHEMA = "--json-schema is not a valid JSON Schema"

Excluded = Callable[[], Awaitable[set[int]]]
"""Returns the processes of this slot that belong to no run."""


class Cli:
    """A process of the CLI and its directories, from `start` to `end`.

    `refused_schema` is true when the CLI exited because it cannot use its schema, although we wrote it for the CLI.
    """

    def __init__(
        self,
        workspace: Workspace,
        options: ClaudeAgentOptions,
        line: Line | None = None,
        broker: Broker | None = None,
    ) -> None:
        self._workspace = workspace
        self._line = line
        self.broker = broker or Broker({}, workspace.root)
        # Not to the worker's log: it may hold what a client sent, line breaks too.
        self._client = ClaudeSDKClient(replace(options, stderr=self._note))
        self._starting: asyncio.Task[None] | None = None
        self.refused_schema = False

    def _note(self, line: str) -> None:
        self.refused_schema |= _INVALID_SCHEMA in line

    def begin(self) -> asyncio.Task[None]:
        """Begin the start, once. The task ends when the CLI is initialized, and raises what the SDK raises."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return self._starting

    async def start(self) -> None:
        """Start the CLI, or join a start that has begun, and wait until it is initialized; see `begin`."""
        await self.begin()

    async def _start(self) -> None:
        if self._line is not None:
            await self._line.open(self._workspace.socket)
        await self._client.connect()
        with suppress(OSError):
            processes.write_oom_score(self.pid, _RUN_OOM_SCORE)

    @property
    def folder(self) -> Path:
        """The directory of the run."""
        return self._workspace.root

    @property
    def failed(self) -> bool:
        """Whether the start has failed."""
        return (
            self._starting is not None
            and self._starting.done()
            and bool(self._starting.cancelled() or self._starting.exception())
        )

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def _process(self) -> Any:
        # The SDK has no public attribute for it.
        return getattr(getattr(self._client, "_transport", None), "_process", None)

    @property
    def alive(self) -> bool:
        """Whether the process runs, according to the kernel: asyncio may not know of its exit yet."""
        if self.pid is None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    async def query(self, prompt: AsyncIterator[dict[str, Any]]) -> AsyncIterator[Message]:
        """Send the prompt and yield every message until the end of the output."""
        await self._client.query(prompt)
        async for message in self._client.receive_messages():
            yield message

    def begin_relaying(self, run: RelayedRun | None) -> None:
        """Let the CLI reach Claude through its relay, if it has one."""
        if self._line is not None and run is not None:
            self._line.begin(run)

    def end_relaying(self) -> None:
        """Refuse further requests to Claude from this run, and end those in flight."""
        if self._line is not None:
            self._line.end()

    async def wait_for_exit(self) -> None:
        """Close the input of a CLI that has answered, and wait for GRACE seconds for its exit."""
        if self._process is not None:
            with suppress(Exception):  # it may have exited already
                await self._client._transport.end_input()  # type: ignore[union-attr]  # noqa: SLF001
                async with asyncio.timeout(GRACE):
                    await self._process.wait()

    async def wait(self) -> None:
        """Wait for the exit of a started process."""
        if self._process is not None:
            await self._process.wait()

    def kill_cli(self) -> None:
        """Kill the CLI alone, at once: during a normal exit it may send one more request, which costs money."""
        if self.pid is not None and self.alive:
            processes.send(signal.SIGKILL, [self.pid])

    async def kill(self) -> None:
        """Kill a CLI that never got a query, with its child processes, and remove its directories."""
        if self.pid is not None and self.alive:
            processes.send(signal.SIGKILL, [self.pid, *processes.descendants(self.pid)])
        await self.close()

    async def end(self, excluded: Excluded) -> None:
        """End every process of this slot but the excluded: a run's processes may be anywhere below the slot."""
        await processes.end_descendants(excluded, reaped=self.pid, grace=GRACE)

    async def close(self) -> None:
        """Close the streams of a CLI that has exited, and remove its directories."""
        process = self._process
        if self._line is not None:
            await self._line.close()
        with suppress(Exception):  # the process has exited, so this only closes streams
            await self._client.disconnect()
        if process is not None:
            # The SDK leaves its end of a pipe open when it holds unread data.
            with suppress(Exception):
                await process.aclose()
        await asyncio.to_thread(self._workspace.remove)
