"""Lua scripts, kept beside the modules that call them; each file begins with its KEYS and ARGV."""

from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import NoScriptError


@cache
def _source(name: str) -> tuple[str, str]:
    text = (Path(__file__).parent / f"{name}.lua").read_text(encoding="utf-8")
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


async def run(client: redis.asyncio.Redis, name: str, keys: list[str], args: list[Any]) -> Any:
    """Run a script in one round trip; a server that does not know it yet costs one more, once."""
    text, digest = _source(name)
    try:
        return await client.evalsha(digest, len(keys), *keys, *args)
    except NoScriptError:
        return await client.eval(text, len(keys), *keys, *args)


def run_sync(client: redis.Redis, name: str, keys: list[str], args: list[Any]) -> Any:
    """Run a script from a thread that blocks; see `run`."""
    text, digest = _source(name)
    try:
        return client.evalsha(digest, len(keys), *keys, *args)
    except NoScriptError:
        return client.eval(text, len(keys), *keys, *args)
