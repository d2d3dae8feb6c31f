"""Batches: accept, look, read the results, cancel; for every door that they come through."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar

from pydantic_core import to_json

from shared.api.errors import FieldError, GatewayError, NotFinished, NotFound
from shared.api.fingerprint import digest
from shared.api.ids import is_id, new_id
from shared.api.models import BatchPage
from shared.api.pages import fitting, json_bytes
from shared.api.requests import BatchQuery
from shared.api.views import batch_status
from shared.configuration.settings import CommonSettings, SubmitSettings
from shared.services import allowed, submitting
from shared.store import keys
from shared.store.jobs import batches
from shared.store.jobs.records import StoredJob
from shared.store.redis.client import async_client

E = TypeVar("E", bound=GatewayError)

# After so many queries others of this process get their turn.
_BREATH = 20


async def create(
    queries: Sequence[BatchQuery],
    *,
    request_id: str,
    caller: str,
    idempotency_key: str | None,
    settings: SubmitSettings,
    place: str,
    webhook_url: str = "",
    metadata: Mapping[str, str] | None = None,
) -> tuple[batches.StoredBatch, dict[str, str]]:
    """Accept queries together, all or none; return the batch as it was accepted, and headers.

    Every query runs: none is answered from the cache, or joined to another. Raises what submitting one of them would,
    and names the query that is wrong by its `place` in the body, which each door has of its own.
    """
    until = allowed.until_from_now()  # together: a thousand names may be slow
    host = await allowed.webhook_host(webhook_url, caller, settings, until.names) if webhook_url else ""
    items = []
    for number, query in enumerate(queries):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        try:
            one = await submitting.prepare(
                query, request_id=new_id(), caller=caller, idempotency_key=None, settings=settings, until=until
            )
        except GatewayError as error:
            raise placed(error, place.format(number)) from None
        items.append((one._replace(read_cache=False, join=False), query.custom_id or ""))
    idempotency = body = ""
    if idempotency_key:
        idempotency = keys.idempotency(caller, digest([f"POST batch of {place}", idempotency_key]))
        body = digest([webhook_url, metadata or {}, *(submitting.normalized(query) for query in queries)])
    batch = batches.Batch(
        batch_id=new_id(),
        request_id=request_id,
        items=items,
        hook=webhook_url,
        host=host,
        metadata=to_json(metadata).decode() if metadata else "",
        idempotency=idempotency,
        body=body,
    )
    answer = await batches.create(async_client(settings.redis_address), batch)
    headers = submitting.rate_headers(answer.left, answer.reset, settings)
    submitting.refuse(answer.kind, answer.reset, headers, settings)
    if answer.kind == "replayed":
        headers["Idempotent-Replayed"] = "true"
    return batches.accepted(batch, answer), headers


def placed(error: E, place: str) -> E:
    """Return an error of one query as one of its batch."""
    above = "/" + place.replace(".", "/")
    fields = tuple(FieldError(above + field.pointer, field.message) for field in error.errors)
    return type(error)(f"{place}: {error.detail}", errors=fields, headers=error.headers)


async def look(batch_id: str, *, caller: str, settings: CommonSettings) -> batches.StoredBatch:
    """Return one of the caller's batches; raises NotFound for any other."""
    client = async_client(settings.redis_address)
    batch = await batches.read(client, batch_id, caller) if is_id(batch_id) else None
    if batch is None:
        raise NotFound("There is no such batch")
    return batch


async def page(limit: int, cursor: str | None, *, caller: str, settings: CommonSettings) -> BatchPage:
    """List the caller's batches, newest first, from where the page with that cursor ended."""
    before = None if cursor is None else int(cursor)
    found, end = await batches.listed(async_client(settings.redis_address), caller, limit=limit, before=before)
    all_of_them = [(batch_status(batch), place) for batch, place in found]
    shown = fitting(all_of_them, lambda one: json_bytes(one[0]))
    if len(shown) < len(all_of_them):
        end = shown[-1][1]
    return BatchPage(batches=[batch for batch, _ in shown], next_cursor=None if end is None else str(end))


async def results(
    batch_id: str, *, caller: str, settings: CommonSettings, first: int = 0
) -> AsyncIterator[tuple[str, str, StoredJob | None]]:
    """Return what yields the batch's jobs in the order of its queries, each with its id and the caller's name for it.

    Raises NotFound, or NotFinished while one has not ended.
    """
    batch = await look(batch_id, caller=caller, settings=settings)
    if not batch.ended:
        raise NotFinished("There are results when the last of its jobs has ended")
    return batches.results(async_client(settings.redis_address), batch_id, caller, first)


async def cancel(batch_id: str, *, caller: str, settings: SubmitSettings) -> batches.StoredBatch:
    """Cancel all of a batch that has not ended, and return it; raises NotFound."""
    client = async_client(settings.redis_address)
    if not is_id(batch_id) or not await batches.cancel(client, batch_id, caller, keep_for=settings.result_ttl):
        raise NotFound("There is no such batch")
    return await look(batch_id, caller=caller, settings=settings)
