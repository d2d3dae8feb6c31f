"""Submit, wait for and cancel jobs: the operations that all APIs of the gateway share."""

from dataclasses import dataclass
from typing import Any, Protocol

from shared.api.errors import (
    AlreadyFinished,
    NotFound,
)
from shared.api.fingerprint import digest
from shared.api.ids import is_id
from shared.api.policies import NO_POLICY, Policy
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.services import job_files, limits
from shared.services.preparing import key_record, prepare
from shared.store.callers import policies
from shared.store.jobs import endings, records, submissions
from shared.store.redis.client import async_client


class Answer(Protocol):
    """The store's answer to a submission, a batch or a run of a schedule; times in ms."""

    @property
    def kind(self) -> str:
        """What has become of it: accepted, or the limit that refuses it."""

    @property
    def left(self) -> int:
        """Submissions that the rate limit leaves."""

    @property
    def reset(self) -> int:
        """The time until all are left again, or until the next may come."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submission; `rate_headers` describe the rate limit, if there is one."""

    answer: submissions.Answer
    rate_headers: dict[str, str]


async def submit(
    request: SubmitRequest,
    *,
    request_id: str,
    caller: str,
    idempotency_key: str | None,
    settings: SubmitSettings,
    body: Any = None,
) -> Submitted:
    """Accept a query, join it to an identical job in flight, or answer it from the cache.

    `body` is the content that an Idempotency-Key stands for, as JSON; the request by default.

    Raises InvalidRequest, Forbidden or WebhookUrlRefused if this deployment does not allow the request, and
    IdempotencyMismatch, RateLimited, BudgetExhausted, CallerQueueFull, CallerStorageFull, QueueFull,
    SandboxUnavailable or KeyRevoked.
    """
    client = async_client(settings.redis_address)
    policy = await policies.of(client, caller)
    submission = await prepare(
        request,
        request_id=request_id,
        caller=caller,
        idempotency_key=idempotency_key,
        settings=settings,
        policy=policy,
    )
    if idempotency_key and body is not None:
        submission.body = digest(body)
    applied = limits.of(caller, policy, settings)
    answer = await submissions.submit(client, submission, applied)
    return Submitted(answer, accepted(answer, answer.job_id, request, applied, policy))


def accepted(
    answer: Answer, place: str, request: SubmitRequest, applied: submissions.Limits, policy: Policy
) -> dict[str, str]:
    """Return the headers of the rate limit; raises the error of a request that the store has refused.

    `place` is the id of the job or batch, or what the store names instead when it refuses a file or a credential.
    """
    headers = limits.rate_headers(answer.left, answer.reset, applied)
    if answer.kind in submissions.ACCEPTED:
        return headers
    job_files.refuse(answer.kind, place, request)
    limits.refuse_servers(answer.kind, place)
    limits.refuse(answer.kind, answer.reset, headers, applied, policy)
    return headers


async def recall(
    body: Any, *, request_id: str, caller: str, idempotency_key: str, settings: SubmitSettings
) -> submissions.Answer | None:
    """Return the first answer under an Idempotency-Key; None for a new key. Raises IdempotencyMismatch."""
    name = key_record(caller, idempotency_key)
    client = async_client(settings.redis_address)
    answer = await submissions.recall(client, request_id=request_id, idempotency=name, body=digest(body))
    if answer is not None:
        limits.refuse(answer.kind, answer.reset, {}, submissions.UNLIMITED, NO_POLICY)
    return answer


async def at_end(job_id: str, seconds: float, *, caller: str, settings: SubmitSettings) -> records.StoredJob | None:
    """Return the job of a submission when it has ended, or after this many seconds."""
    return await endings.read_at_end(async_client(settings.redis_address), job_id, caller, seconds)


async def cancel(job_id: str, *, caller: str, settings: SubmitSettings) -> records.StoredJob:
    """Cancel one of the caller's jobs; raises NotFound, or AlreadyFinished for a job that has ended."""
    client = async_client(settings.redis_address)
    outcome = "missing"
    if is_id(job_id):
        outcome = await records.cancel(client, job_id, caller, keep_for=settings.result_ttl)
    if outcome == "finished":
        raise AlreadyFinished("The job ended before the request arrived and is unchanged")
    job = await records.read(client, job_id, caller) if outcome == "cancelled" else None
    if job is None:
        raise NotFound("Job not found")
    return job
