"""The wait for an object store at the end of a job: one for all files, and with an end."""

import asyncio
from functools import partial

import pytest
import redis.asyncio

from functions.worker.outputs import uploading
from functions.worker.outputs.uploading import OmittedError, Uploads, pieces_below
from shared.configuration.settings import WorkerSettings


async def test_the_wait_for_the_object_store_has_one_end_for_all_files(monkeypatch, tmp_path):
    """Catches a thousand files that each wait for an object store that is away."""
    tries = []

    async def away(*_):
        tries.append(1)
        raise OSError

    monkeypatch.setattr(uploading.Uploads, "_try", away)
    monkeypatch.setattr(uploading, "WAIT", 0.2)
    monkeypatch.setattr(uploading, "_PAUSE", 0.01)
    client = redis.asyncio.Redis()  # never connected
    uploads = Uploads(client, "caller", WorkerSettings(), "job")

    async def store():
        with pytest.raises(OmittedError, match="store_unavailable"):
            await uploads.store("a", 1, partial(pieces_below, tmp_path, "a", 1))

    async with asyncio.timeout(60):
        await store()
        seen = len(tries)
        for _ in range(1000):
            await store()
    assert seen > 1
    assert len(tries) == seen
