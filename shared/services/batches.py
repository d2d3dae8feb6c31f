"""Create, read and cancel batches: what our own API and the compat APIs have in common."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeVar

from pydantic_core import to_json

from shared.api.batch_requests import BatchQuery
from shared.api.errors import FieldError, GatewayError, InvalidRequest, NotFinished, NotFound, Unavailable
from shared.api.fingerprint import digest
from shared.api.ids import is_id, new_id
from shared.configuration.settings import CommonSettings, SubmitSettings
from shared.services import allowed, limits, preparing, submitting
from shared.store.callers import policies
from shared.store.jobs import batches, submissions
from shared.store.jobs.records import StoredJob
from shared.store.redis.client import async_client
from shared.tracing import context

E = TypeVar("E", bound=GatewayError)

# Yield to the event loop after this many queries.
_YIELD_EVERY = 20


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
    """Accept queries, all or none; return the accepted batch and headers.

    Every query runs: none is answered from the cache or joined to another job. Raises the errors of a submission,
    and names the invalid query by its `place` in the body, which differs between the APIs.
    """
    until = allowed.until_from_now()  # for all queries together, since a thousand names may be slow
    host = await allowed.webhook_host(webhook_url, caller, settings, until.names) if webhook_url else ""
    items = []
    for number, query in enumerate(queries):
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        try:
            one = await preparing.prepare(
                query, request_id=new_id(), caller=caller, idempotency_key=None, settings=settings, until=until
            )
        except GatewayError as error:
            raise error_at(error, place.format(number)) from None
        one.read_cache = one.join = False
        items.append((one, query.custom_id or ""))
    idempotency = body = ""
    if idempotency_key:
        idempotency = submissions.idempotency_record(caller, digest([f"POST batch of {place}", idempotency_key]))
        body = digest([webhook_url, metadata or {}, *(preparing.normalized(query) for query in queries)])
    batch = batches.Batch(
        batch_id=new_id(),
        request_id=request_id,
        caller=caller,
        queries=items,
        webhook_url=webhook_url,
        webhook_host=host,
        metadata=to_json(metadata).decode() if metadata else "",
        idempotency=idempotency,
        body=body,
        trace=context.current_text(),
    )
    policy = await policies.of(async_client(settings.redis_address), caller)
    applied = limits.of(caller, policy, settings)
    answer = await batches.create(async_client(settings.redis_address), batch, applied)
    try:
        query = queries[min(answer.at, len(queries) - 1)]
        headers = submitting.accepted(answer, answer.batch_id, query, applied, policy)
    except InvalidRequest as error:
        raise error_at(error, place.format(answer.at)) from None
    if answer.kind == "replayed":
        headers["Idempotent-Replayed"] = "true"
    return batches.accepted(batch, answer), headers


def error_at(error: E, place: str) -> E:
    """Return an error of one query as an error of the whole body; `place` is where the query is in the body."""
    if isinstance(error, Unavailable):
        return error
    above = "/" + place.replace(".", "/")
    fields = tuple(FieldError(above + field.pointer, field.message) for field in error.errors)
    return type(error)(f"{place}: {error.detail}", errors=fields, headers=error.headers)


async def read(batch_id: str, *, caller: str, settings: CommonSettings) -> batches.StoredBatch:
    """Return one of the caller's batches; raises NotFound for any other."""
    client = async_client(settings.redis_address)
    batch = await batches.read(client, batch_id, caller) if is_id(batch_id) else None
    if batch is None:
        raise NotFound("Batch not found")
    return batch


async def results(
    batch_id: str, *, caller: str, settings: CommonSettings, first: int = 0
) -> AsyncIterator[tuple[str, str, StoredJob | None]]:
    """Return an iterator of a batch's jobs in the order of its queries: job id, the caller's name for it, job.

    Raises NotFound, and NotFinished until all jobs have ended.
    """
    batch = await read(batch_id, caller=caller, settings=settings)
    if not batch.ended:
        raise NotFinished("The batch has not ended; read its results when all jobs have ended")
    return batches.results(async_client(settings.redis_address), batch_id, caller, first)


async def cancel(batch_id: str, *, caller: str, settings: SubmitSettings) -> batches.StoredBatch:
    """Cancel all jobs of a batch that have not ended, and return the batch; raises NotFound."""
    client = async_client(settings.redis_address)
    if not is_id(batch_id) or not await batches.cancel(client, batch_id, caller, keep_for=settings.result_ttl):
        raise NotFound("Batch not found")
    return await read(batch_id, caller=caller, settings=settings)
