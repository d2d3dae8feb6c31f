"""An answer under a schema, held to it by us: the CLI says that it fits, and this makes sure."""

import asyncio
import json
import sys
from typing import Any

from functions.worker.jobs.outcome import Structured
from shared.json_schema.for_model import unwrap

# A schema of a client's can take for ever, by an expression or by what it refers to; s.
_WITHIN = 5.0
# In a process that can be ended: nothing else stops a check. It reads schema and value, and says nothing. Its memory is
# limited to 1 GiB, since what a check needs is up to the client too.
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
    """Return what a run gave under a schema."""
    try:
        value = unwrap(schema, given)
    except ValueError:
        return Structured(fits=False)
    return Structured(fits=True, value=value) if await _fits(schema, value) else Structured(fits=False)


async def _fits(schema: dict[str, Any], value: Any) -> bool:
    pipe = asyncio.subprocess.PIPE
    # What it says when it breaks off would show the client's schema.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _CHECK), stdin=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_WITHIN):
            # A lone surrogate, which JavaScript lets pass, becomes a replacement character.
            await process.communicate(json.dumps([schema, value], ensure_ascii=False).encode("utf-16", "surrogatepass"))
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode == 0
