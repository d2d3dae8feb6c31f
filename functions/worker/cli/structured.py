"""Validation of structured output: the CLI reports that a result fits its schema, and this checks it."""

import asyncio
import json
import sys
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


async def structured(schema: dict[str, Any], given: Any) -> Structured:
    """Return the result of a run under a schema, and whether it fits."""
    try:
        value = unwrap(schema, given)
    except ValueError:
        return Structured(fits=False)
    return Structured(fits=True, value=value) if await _fits(schema, value) else Structured(fits=False)


async def _fits(schema: dict[str, Any], value: Any) -> bool:
    pipe = asyncio.subprocess.PIPE
    # An error message of the check would show the client's schema.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _CHECK), stdin=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            # A lone surrogate, which JavaScript accepts, becomes a replacement character.
            await process.communicate(json.dumps([schema, value], ensure_ascii=False).encode("utf-16", "surrogatepass"))
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode == 0
