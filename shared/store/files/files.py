"""The records of callers' files. Their bytes are in the object store.

A record exists before its bytes and is removed after them, so that a process that is killed between leaves a record, by
which the reaper finds the bytes. Fields of `cg:file:ID`, with times in ms:

    caller   the caller that the file belongs to
    state    pending while the gateway receives it, awaited while a presigned URL does, then ready; deleted at the end
    name, type, size, sha256
    kind     the attachable media type that its bytes have, or ""
    at       where its bytes are
    held     bytes that it counts in the caller's quota
    created, expires
    checked  present when the reaper has looked for the bytes of an awaited file
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import redis.asyncio

from shared.store import keys
from shared.store.redis import scripts
from shared.store.redis.clock import TIME, milliseconds
from shared.store.redis.pipelining import get

MAX_FILES = 10_000
"""Files that one caller can have, and deleted ones whose ids are known."""

# Within this time, ms, an upload renews its lease, and a file whose removal failed is taken again.
LEASE = 900_000
_AGAIN = 300_000


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The record of a file."""

    file_id: str
    caller: str
    state: str
    name: str
    media_type: str
    size: int
    sha256: str | None
    kind: str
    path: str
    created: int
    expires: int

    @classmethod
    def parse(cls, file_id: str, record: dict[str, str]) -> "StoredFile":
        """Read a record of the store."""
        return cls(
            file_id, record["caller"], record["state"], record["name"], record["type"], int(record["size"]),
            record.get("sha256"), record.get("kind", ""), record["at"], int(record["created"]), int(record["expires"]),
        )  # fmt: skip


class NewFile(NamedTuple):
    """A file whose bytes are still to come; `size` is -1 when it is unknown, and `job` the job whose run leaves it."""

    id: str
    caller: str
    name: str
    media_type: str
    size: int
    state: Literal["pending", "awaited"]
    job: str = ""


class FileLimits(NamedTuple):
    """The limits of a deployment: bytes of a file, bytes and number of a caller's files, and times in ms."""

    max_file: int
    max_bytes: int
    ttl_ms: int
    max_files: int = MAX_FILES
    lease_ms: int = LEASE


class Begun(NamedTuple):
    """A recorded file: the bytes that it may have, where they go, and when it was created, ms."""

    held: int
    path: str
    created: int


class DueFile(NamedTuple):
    """A file whose bytes the reaper removes; it first looks for those of an `awaited` one."""

    file_id: str
    state: str
    path: str
    size: int
    media_type: str


async def begin(
    client: redis.asyncio.Redis, file: NewFile, limits: FileLimits
) -> Begun | Literal["revoked", "full", "many"]:
    """Record a file and reserve its bytes in the caller's quota, or return why not."""
    outcome, *found = await scripts.run(client, "begin_file", file=file._asdict(), limits=limits._asdict())
    return Begun(*found) if outcome == "ok" else outcome


async def renew(client: redis.asyncio.Redis, file_id: str) -> bool:
    """Renew the lease of an upload; False when it must stop."""
    return bool(await scripts.run(client, "renew_file", id=file_id, lease_ms=LEASE))


async def finish(
    client: redis.asyncio.Redis, file_id: str, *, size: int, sha256: str, media_type: str, kind: str
) -> Literal["ready", "gone", "revoked"]:
    """Make a file ready; `gone` or `revoked` when its bytes must go."""
    state: Literal["ready", "gone", "revoked"] = await scripts.run(
        client, "finish_file", id=file_id, size=size, sha256=sha256, media_type=media_type, kind=kind
    )
    return state


async def find(client: redis.asyncio.Redis, caller: str, file_id: str) -> StoredFile | None:
    """Return a file of a caller that is ready or awaited; None for any other."""
    record, time = await get(client, ("HGETALL", keys.file(file_id)), TIME)
    if record.get("caller") != caller or record["state"] not in {"ready", "awaited"}:
        return None
    file = StoredFile.parse(file_id, record)
    return file if file.expires > milliseconds(time) else None


async def find_any(client: redis.asyncio.Redis, file_id: str) -> StoredFile | None:
    """Return a file of any caller; None for one that is forgotten."""
    [record] = await get(client, ("HGETALL", keys.file(file_id)))
    return StoredFile.parse(file_id, record) if "at" in record else None


async def check_again(client: redis.asyncio.Redis, file_id: str) -> None:
    """Let the reaper look once more for the bytes of an awaited file: the object store did not answer."""
    await get(client, ("HDEL", keys.file(file_id), "checked"))


async def of_job(client: redis.asyncio.Redis, caller: str, file_ids: list[str]) -> list[StoredFile | None]:
    """Return the files of a caller's job, which keeps them after their deletion; None for one that is gone."""
    if not file_ids:
        return []
    records = cast("list[dict[str, str]]", await get(client, *(("HGETALL", keys.file(one)) for one in file_ids)))
    return [
        StoredFile.parse(file_id, record) if record.get("caller") == caller and "at" in record else None
        for file_id, record in zip(file_ids, records, strict=True)
    ]


async def page(
    client: redis.asyncio.Redis, caller: str, limit: int, before: int | None
) -> tuple[list[StoredFile], int | None]:
    """List a caller's files, newest first, and return where the next page begins; None on the last."""
    rows = await scripts.run(
        client, "list_files", caller=caller, most=limit + 1, before="+inf" if before is None else f"({before}"
    )
    found = [
        (StoredFile.parse(file_id, dict(zip(flat[::2], flat[1::2], strict=True))), int(seq))
        for file_id, seq, *flat in rows
    ]
    end = found[limit - 1][1] if len(found) > limit else None
    return [file for file, _ in found[:limit]], end


async def delete(client: redis.asyncio.Redis, caller: str, file_id: str) -> tuple[bool, str]:
    """Delete a caller's file; return whether it is deleted, and where its bytes are when no job needs them, or ""."""
    deleted, path = await scripts.run(client, "delete_file", caller=caller, id=file_id)
    return bool(deleted), path


async def forget(client: redis.asyncio.Redis, file_id: str) -> None:
    """Forget a file whose bytes are removed."""
    await scripts.run(client, "forget_file", id=file_id, most_deleted=MAX_FILES)


async def take_due(client: redis.asyncio.Redis, most: int) -> list[DueFile]:
    """Return files whose bytes are to be removed, and awaited ones that are to be checked."""
    flat = await scripts.run(client, "take_due_files", most=most, again_ms=_AGAIN)
    rows = [flat[start : start + 5] for start in range(0, len(flat), 5)]
    return [DueFile(file_id, state, path, int(size), kind) for file_id, state, path, size, kind in rows]


async def unknown(client: redis.asyncio.Redis, paths: list[str]) -> list[str]:
    """Return the paths of bytes that no record names."""
    return cast("list[str]", await scripts.run(client, "unknown_files", paths=paths))


async def own_prefix(client: redis.asyncio.Redis, every_s: int) -> str | None:
    """Return what begins the paths of this store's files; None when another worker has asked within so long."""
    prefix, first = await get(client, ("GET", keys.DEPLOYMENT), ("SET", keys.FILES_SWEPT, 1, "NX", "EX", str(every_s)))
    return f"{prefix}/files" if prefix and first else None
