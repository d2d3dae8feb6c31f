"""A function: as many environments as there are events at once, up to a limit, kept for the next."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Any

# Lambda starts as many as it needs; a machine does not have that many. Beyond, an event waits for a free one.
MOST_ENVIRONMENTS = 20
# What Lambda takes of an event and of an answer, bytes of JSON.
PAYLOAD_LIMIT = 6_291_556
# An answer comes in one line; one that is too large is read all the same, to be told from a broken one.
_LONGEST_LINE = 64 << 20


class FunctionError(Exception):
    """The handler raised, answered more than Lambda takes, or its environment ended."""


class EventTooLarge(Exception):
    """The event has more bytes than Lambda takes."""


class Function:
    """Invokes one handler."""

    def __init__(self, name: str, handler: str) -> None:
        self._name, self._handler = name, handler
        self._idle: list[Process] = []
        self._started: list[Process] = []
        self._free = asyncio.Semaphore(MOST_ENVIRONMENTS)

    async def invoke(self, event: dict[str, Any]) -> Any:
        """Return what the handler returns for an event; raises EventTooLarge or FunctionError."""
        payload = json.dumps(event, ensure_ascii=False).encode()
        if len(payload) > PAYLOAD_LIMIT:
            raise EventTooLarge(f"{len(payload)} bytes")
        async with self._free:
            environment = self._take_idle() or await self._start()
            try:
                answer = await self._ask(environment, payload)
            except BaseException:
                # Cut off in the middle: what it answers next would be the answer to this event.
                self._kill(environment)
                raise
            self._idle.append(environment)
        if not answer:
            raise FunctionError("the handler raised")
        if len(answer) > PAYLOAD_LIMIT:
            raise FunctionError(f"the answer has {len(answer)} bytes")
        return json.loads(answer)

    async def _ask(self, environment: Process, payload: bytes) -> bytes:
        assert environment.stdin is not None  # noqa: S101 -- both are pipes
        assert environment.stdout is not None  # noqa: S101
        try:
            environment.stdin.write(payload + b"\n")
            await environment.stdin.drain()
            line = await environment.stdout.readline()
        except (ConnectionError, ValueError) as error:  # ValueError: a line without an end
            raise FunctionError(str(error)) from error
        if not line.endswith(b"\n"):
            raise FunctionError("the environment ended")
        return line[:-1]

    def _take_idle(self) -> Process | None:
        while self._idle:
            environment = self._idle.pop()
            if environment.returncode is None:
                return environment
        return None

    async def _start(self) -> Process:
        environment = await asyncio.create_subprocess_exec(
            sys.executable,
            "-u",  # what a handler prints is in the log at once, whatever ends the process
            "-m",
            "local.lambda_emulator.environment",
            str(os.getpid()),
            self._handler,
            self._name,
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_LINE,
            env={**os.environ, "AWS_LAMBDA_FUNCTION_NAME": self._name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST"},
            # Ctrl-C on the terminal is for the server, which lets requests end.
            start_new_session=True,
        )
        self._started = [*(process for process in self._started if process.returncode is None), environment]
        return environment

    def _kill(self, environment: Process) -> None:
        with suppress(ProcessLookupError):
            environment.kill()

    async def close(self) -> None:
        """End every environment."""
        for environment in self._started:
            self._kill(environment)
        await asyncio.gather(*(environment.wait() for environment in self._started))
