"""Submissions without HTTP."""

import asyncio
from collections.abc import Sequence

from shared.api.ids import new_id
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.services import submitting as service
from shared.store import keys
from shared.store.redis.client import close_clients


async def submit_all(settings: SubmitSettings, requests: Sequence[SubmitRequest]) -> list[str]:
    """Submit queries, a few dozen at a time; return the ids of the jobs in order."""
    free = asyncio.Semaphore(32)

    async def one(request: SubmitRequest) -> str:
        async with free:
            done = await service.submit(
                request, request_id=new_id(), caller=keys.ANONYMOUS, idempotency_key=None, settings=settings
            )
            return done.answer.job_id

    try:
        return list(await asyncio.gather(*(one(request) for request in requests)))
    finally:
        await close_clients()
