"""A function: as many environments as there are events at once, up to a limit, kept for the next."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Any

# Lambda starts as many as it needs; a machine does not have that many.
MOST_ENVIRONMENTS = 16
# An answer may have 6 MB, and comes in one line.
_LONGEST_LINE = 64 << 20


class FunctionError(Exception):
    """The handler raised, or its environment ended."""


class Function:
    """Invokes one handler."""

    def __init__(self, name: str, handler: str) -> None:
        self._name, self._handler = name, handler
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._free = asyncio.Semaphore(MOST_ENVIRONMENTS)

    async def invoke(self, event: dict[str, Any]) -> Any:
        """Return what the handler returns for an event; raises FunctionError."""
        async with self._free:
            environment = self._idle.pop() if self._idle else await self._start()
            try:
                assert environment.stdin is not None  # noqa: S101 -- both are pipes
                assert environment.stdout is not None  # noqa: S101
                environment.stdin.write(json.dumps(event).encode() + b"\n")
                await environment.stdin.drain()
                line = await environment.stdout.readline()
            except BaseException:
                # Cut off in the middle: what it answers next would be the answer to this event.
                self._discard(environment)
                raise
            if not line:
                self._discard(environment)
                raise FunctionError("the environment ended")
            self._idle.append(environment)
        answer = json.loads(line)
        if "failed" in answer:
            raise FunctionError("the handler raised")
        return answer["answer"]

    async def _start(self) -> Process:
        environment = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.lambda_emulator.environment",
            self._handler,
            self._name,
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_LINE,
            env={**os.environ, "AWS_LAMBDA_FUNCTION_NAME": self._name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST"},
        )
        self._all.add(environment)
        return environment

    def _discard(self, environment: Process) -> None:
        self._all.discard(environment)
        with suppress(ProcessLookupError):
            environment.kill()

    async def close(self) -> None:
        """End every environment."""
        for environment in self._all:
            with suppress(ProcessLookupError):
                environment.kill()
        await asyncio.gather(*(environment.wait() for environment in self._all))
