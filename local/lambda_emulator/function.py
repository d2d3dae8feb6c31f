"""A function, with an environment for each concurrent event, up to a limit. Environments are reused."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Any

# Lambda starts as many as needed, which would overload one machine. Beyond the limit, events wait.
MOST_ENVIRONMENTS = 20
# Lambda's limit for an event and for a response, in bytes of JSON.
PAYLOAD_LIMIT = 6_291_556
# A response is one line. One over Lambda's limit is still read, to distinguish it from a broken one.
_LONGEST_LINE = 64 << 20


class FunctionError(Exception):
    """The handler raised, its response exceeds Lambda's limit, or its environment ended."""


class EventTooLarge(Exception):
    """The event exceeds Lambda's limit."""


class Function:
    """Invokes one handler."""

    def __init__(self, name: str, handler: str) -> None:
        self._name, self._handler = name, handler
        self._idle: list[Process] = []
        self._started: list[Process] = []
        self._free = asyncio.Semaphore(MOST_ENVIRONMENTS)

    async def invoke(self, event: dict[str, Any]) -> Any:
        """Return the handler's response to an event. Raises EventTooLarge or FunctionError."""
        payload = json.dumps(event, ensure_ascii=False).encode()
        if len(payload) > PAYLOAD_LIMIT:
            raise EventTooLarge(f"{len(payload)} bytes")
        async with self._free:
            environment = self._take_idle() or await self._start()
            try:
                answer = await self._send(environment, payload)
            except BaseException:
                # The next response of this environment would be that to the interrupted event.
                self._kill(environment)
                raise
            self._idle.append(environment)
        if not answer:
            raise FunctionError("the handler raised an exception")
        if len(answer) > PAYLOAD_LIMIT:
            raise FunctionError(f"the response has {len(answer)} bytes, more than {PAYLOAD_LIMIT}")
        return json.loads(answer)

    async def _send(self, environment: Process, payload: bytes) -> bytes:
        assert environment.stdin is not None  # noqa: S101 -- both are pipes
        assert environment.stdout is not None  # noqa: S101
        try:
            environment.stdin.write(payload + b"\n")
            await environment.stdin.drain()
            line = await environment.stdout.readline()
        except (ConnectionError, ValueError) as error:  # ValueError: the line exceeds the limit
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
            "-u",  # unbuffered, so that no log line is lost when the process ends
            "-m",
            "local.lambda_emulator.environment",
            str(os.getpid()),
            self._handler,
            self._name,
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_LINE,
            env={**os.environ, "AWS_LAMBDA_FUNCTION_NAME": self._name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST"},
            # Ctrl-C on the terminal must reach only the server, which finishes its requests.
            start_new_session=True,
        )
        self._started = [*(process for process in self._started if process.returncode is None), environment]
        return environment

    def _kill(self, environment: Process) -> None:
        with suppress(ProcessLookupError):
            environment.kill()

    async def close(self) -> None:
        """Stop all environments."""
        for environment in self._started:
            self._kill(environment)
        await asyncio.gather(*(environment.wait() for environment in self._started))
