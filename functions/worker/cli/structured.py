"""Validation of structured output: the CLI reports that a result fits its schema, and this checks it."""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

from functions.worker.cli.report import Structured
from shared.json_schema.for_model import unwrap

# Seconds for a check. A client's schema can take forever, through a regular expression or a reference.
_TIMEOUT = 5.0
# Runs in a process that can be killed: nothing else stops a check. It reads schema and value, and writes nothing. Its
# memory is limited to 1 GiB, since the client's schema determines how much a check needs.
_CHECK = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (6, 6))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from jsonschema_rs import validator_for
schema, value = json.loads(sys.stdin.buffer.read().decode("utf-16", "replace"))
sys.exit(0 if validator_for(schema).is_valid(value) else 1)
"""


class Check:
    """A check of the result of one run; its process starts at once, so that it is ready when the result is there."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._starting = asyncio.create_task(_started())

    async def result(self, given: Any) -> Structured:
        """Return the result of a run, and whether it fits. May be called once."""
        try:
            value = unwrap(self._schema, given)
        except ValueError:
            return Structured(fits=False)
        return Structured(fits=True, value=value) if await self._fits(value) else Structured(fits=False)

    async def _fits(self, value: Any) -> bool:
        process = await self._starting
        if process.returncode is not None:
            # A tool that has no sandbox has ended it.
            self._starting = asyncio.create_task(_started())
            process = await self._starting
        # A lone surrogate, which JavaScript accepts, becomes a replacement character.
        text = json.dumps([self._schema, value], ensure_ascii=False).encode("utf-16", "surrogatepass")
        try:
            async with asyncio.timeout(_TIMEOUT):
                await process.communicate(text)
        except TimeoutError:
            return False
        return process.returncode == 0

    async def close(self) -> None:
        """End the process."""
        with suppress(OSError):  # it did not start
            process = await self._starting
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _started() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _CHECK),
        stdin=asyncio.subprocess.PIPE,
        # An error message of the check would show the client's schema.
        stderr=asyncio.subprocess.DEVNULL,
    )
