"""Downloads: a token that reads one file for a short time, for pages that hold no key of the file's caller."""

import secrets

import redis.asyncio

from shared import digests
from shared.store import keys
from shared.store.files import files
from shared.store.files.files import StoredFile
from shared.store.redis.pipelining import get

SECONDS = 300
"""The time for which a token can be used."""


async def create(client: redis.asyncio.Redis, caller: str, file_id: str) -> str:
    """Return a token for a file; it is stored hashed."""
    token = secrets.token_urlsafe(32)
    await client.set(keys.download(digests.of_text(token)), f"{caller}\n{file_id}", ex=SECONDS)
    return token


async def find(client: redis.asyncio.Redis, token: str) -> StoredFile | None:
    """Return the file of a token; None for an unknown token or a file that is gone."""
    [found] = await get(client, ("GET", keys.download(digests.of_text(token))))
    caller, _, file_id = (found or "").partition("\n")
    return await files.find(client, caller, file_id) if file_id else None
