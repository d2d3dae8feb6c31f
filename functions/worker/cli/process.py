"""One process of the CLI: it starts in its own directories, gets one query, and ends with all its child processes."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient
from claude_agent_sdk.types import Message

from functions.worker.cli.late import HeldTransport, Late, LateInitializationError, initialize
from functions.worker.cli.workspace import Workspace
from functions.worker.mcp.broker import Broker
from functions.worker.relay.relay import Line
from functions.worker.relay.run import RelayedRun
from functions.worker.sandbox import network
from shared.host import processes
from shared.logs import event

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

    A held CLI is started without a job and waits; `give` sets what it receives when its job comes. `refused_schema` is
    true when the CLI exited because it cannot use its schema, although we wrote it for the CLI.
    """

    def __init__(
        self,
        workspace: Workspace,
        options: ClaudeAgentOptions,
        line: Line | None = None,
        broker: Broker | None = None,
        *,
        held: bool = False,
        rehearses: bool = False,
    ) -> None:
        self.workspace = workspace
        self._line = line
        self.broker = broker or Broker({}, workspace.root)
        # Not to the worker's log: it may hold what a client sent, line breaks too.
        self._options = replace(options, stderr=self._note)
        self._held = HeldTransport(self._options) if held else None
        self._rehearses = rehearses
        self._client = ClaudeSDKClient(self._options, self._held)
        self._cold: Callable[[], ClaudeAgentOptions] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self.refused_schema = False

    def _note(self, line: str) -> None:
        self.refused_schema |= _INVALID_SCHEMA in line

    def give(
        self, options: ClaudeAgentOptions, late: Late, broker: Broker, cold: Callable[[], ClaudeAgentOptions]
    ) -> None:
        """Set the options of the job of a held CLI, and those with which it is started again if it takes none late."""
        self.broker = broker
        # The environment says where the process that runs has its transcripts.
        options = replace(options, env=self._options.env, stderr=self._note)
        self._client = ClaudeSDKClient(options, self._held)
        if self._held is not None:
            self._held.give(late)
        self._cold = cold

    def begin(self) -> asyncio.Task[None]:
        """Begin to start the process, once. The task ends when a held CLI runs, and another one is initialized."""
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin())
            # Nobody waits for the start of a CLI that is killed meanwhile.
            self._beginning.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._beginning

    async def _begin(self) -> None:
        if self._line is not None:
            await self._line.open(self.workspace.socket)
        if self._held is None:
            await self._client.connect()
            self._set_oom_score()
            return
        await self._held.spawn()
        self._set_oom_score()
        if self._rehearses and self._line is not None:
            await self._held.rehearse(self._line.rehearsal, lambda: self._cold is None)

    def _set_oom_score(self) -> None:
        with suppress(OSError):
            processes.write_oom_score(self.pid, _RUN_OOM_SCORE)

    async def start(self) -> None:
        """Start the CLI, or join its start, and wait until it is initialized; raise what the SDK raises."""
        if self._held is None:
            await self.begin()
            return
        try:
            await self._initialize(self._held)
        except LateInitializationError as error:
            if self._cold is None:
                raise
            event(log, "late_initialization_failed", logging.WARNING, error=str(error))
            await self._start_cold(self._cold())

    async def _initialize(self, held: HeldTransport) -> None:
        try:
            await self.begin()
        except Exception as error:
            raise LateInitializationError(type(error).__name__) from error
        await initialize(self._client, held)

    async def _start_cold(self, options: ClaudeAgentOptions) -> None:
        await self._disconnect()
        self._held, self._client = None, ClaudeSDKClient(replace(options, stderr=self._note))
        await self._client.connect()
        self._set_oom_score()

    @property
    def is_ready(self) -> bool:
        """Whether the start is complete."""
        return self._beginning is not None and self._beginning.done() and not self.failed

    @property
    def folder(self) -> Path:
        """The directory of the run."""
        return self.workspace.root

    @property
    def failed(self) -> bool:
        """Whether the start has failed."""
        task = self._beginning
        return task is not None and task.done() and bool(task.cancelled() or task.exception())

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def _process(self) -> Any:
        if self._held is not None:
            return self._held.process
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

    async def send(self, messages: AsyncIterator[dict[str, Any]]) -> None:
        """Send messages of the user, such as the prompt."""
        await self._client.query(messages)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield every message until the end of the output."""
        async for message in self._client.receive_messages():
            yield message

    def begin_relaying(self, run: RelayedRun | None) -> None:
        """Let the CLI reach Claude through its relay, if it has one."""
        if self._line is not None and run is not None:
            self._line.begin(run)

    def open_network(self) -> None:
        """Let the tools of a started CLI, which is in a sandbox, reach the hosts of its run through its relay."""
        if self._line is not None and self.pid is not None:
            self._line.open_network(partial(network.listen, self.pid))

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
        self._cold = None  # The run ends, so that a CLI that has not taken its options is not started again.
        if self.pid is not None and self.alive:
            processes.send(signal.SIGKILL, [self.pid])

    async def kill(self) -> None:
        """Kill a CLI that never got a query, with its child processes, and remove its directories."""
        self._kill_tree()
        await self.close()

    def _kill_tree(self) -> None:
        if self.pid is not None and self.alive:
            processes.send(signal.SIGKILL, [self.pid, *processes.descendants(self.pid)])

    async def end(self, excluded: Excluded) -> None:
        """End every process of this slot but the excluded: a run's processes may be anywhere below the slot."""
        await processes.end_descendants(excluded, reaped=self.pid, grace=GRACE)

    async def close(self) -> None:
        """Close the streams of a CLI that has exited, and remove its directories."""
        if self._line is not None:
            await self._line.close()
        await self._disconnect()
        await asyncio.to_thread(self.workspace.remove)

    async def _disconnect(self) -> None:
        """End the process, if it has not exited, and close its streams."""
        self._kill_tree()
        process = self._process
        with suppress(Exception):  # the process has exited, so this only closes streams
            await self._client.disconnect()
        if self._held is not None:
            with suppress(Exception):  # the client has not connected to it
                await self._held.close()
        if process is not None:
            # The SDK leaves its end of a pipe open when it holds unread data.
            with suppress(Exception):
                await process.aclose()
