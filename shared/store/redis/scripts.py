"""Run Lua scripts. Each is beside the module that calls it; its header lists its arguments and its result."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from shared.store import keys
from shared.store.redis.joining import joined
from shared.store.redis.pipelining import send
from shared.store.redis.signatures import Signature

_FILES = {path.stem: path for path in Path(__file__).parents[1].rglob("*.lua")}
_COMMON = (
    "names",
    "counts",
    "fair_share",
    "storage",
    "transitions",
    "pausing",
    "pause_history",
    "budget_warning",
    "schedule_runs",
    "ending",
)
_SETTLING = ("finish", "retry", "hand_back", "spent", "pause")
_ALSO = {
    "submit": ("idempotency", "file_use", "credential_use", "accept"),
    "batch": ("idempotency", "file_use", "credential_use", "accept"),
    "run_schedule": ("idempotency", "file_use", "credential_use", "accept"),
    "put_schedule": ("idempotency",),
    "claim": ("credential_use", "release_pending"),
    "use_credentials": ("credential_use",),
    "delete_file": ("file_use",),
    "pop": ("end_delay",),
    "retry_ended": (
        "file_use",
        "end_delay",
    ),
    "take_due_files": ("file_use",),
    **dict.fromkeys(("grant_credential", "remove_credential", "revoke"), ("grants",)),
    "recall": ("idempotency",),
    **dict.fromkeys(("redeliver", "recover"), ("requeue_delivery",)),
    **dict.fromkeys(_SETTLING, ("settlement",)),
    "finish_file": ("file_use", "ready_file"),
    "finish": ("settlement", "note_attempt", "ready_file", "keep_outputs"),
    "spent": ("settlement", "ready_file", "keep_outputs", "release_pending"),
    "hand_back": ("settlement", "release_pending"),
    "retry": ("settlement", "note_attempt"),
    "pause": ("settlement", "ready_file", "keep_outputs"),
    "rescue": ("note_attempt", "release_pending"),
    "renew": ("steps",),
    "send_message": ("steps",),
}


def names() -> list[str]:
    """Return the name of every script."""
    parts_of_others = {*_COMMON, *(part for parts in _ALSO.values() for part in parts)}
    return sorted(_FILES.keys() - parts_of_others)


def files(name: str) -> list[Path]:
    """Return the files of a script in the order in which they are joined; the last one is the script's own."""
    return [_FILES[part] for part in (*_COMMON, *_ALSO.get(name, ()), name)]


def preamble() -> str:
    """Return the line that comes before the files of every script: constants that Python defines."""
    return f"local BUCKETS = {{{', '.join(f'{bucket:g}' for bucket in keys.BUCKETS)}}}\n"


@cache
def source(name: str) -> tuple[str, str]:
    """Return the text of a script, and the digest by which Redis knows it."""
    *parts, own = (path.read_text(encoding="utf-8") for path in files(name))
    text = joined([preamble(), *parts], own)
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


@cache
def signature(name: str) -> Signature:
    """Return the arguments of a script."""
    return Signature(name, _FILES[name].read_text(encoding="utf-8"))


def encode(script: str, argument: str, fields: Mapping[str, Any]) -> str:
    """Return the JSON argument of a script as text, for a script that gets many of them."""
    found = signature(script)
    return found.encode(found.parameter(argument), fields)


async def run(client: redis.asyncio.Redis, script: str, /, **arguments: Any) -> Any:
    """Run a script in one round trip; the first use on a server costs one more.

    The arguments have the names that the header of the script gives them. Raises TypeError for other names.
    """
    values = signature(script).values(arguments)
    text, digest = source(script)
    [reply] = await send(client, ("EVALSHA", digest, 0, *values))
    if isinstance(reply, NoScriptError):
        [reply] = await send(client, ("EVAL", text, 0, *values))
    if isinstance(reply, Exception):
        raise reply
    return reply


def run_sync(client: redis.Redis, script: str, /, **arguments: Any) -> Any:
    """Run a script from a thread that blocks; see `run`."""
    values = signature(script).values(arguments)
    text, digest = source(script)
    try:
        return client.evalsha(digest, 0, *values)
    except NoScriptError:
        return client.eval(text, 0, *values)
