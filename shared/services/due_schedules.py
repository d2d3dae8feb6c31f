"""Carry out the due times of schedules. Any worker may do it, and several at once."""

import asyncio
import logging

from pydantic import ValidationError

from shared import due_times
from shared.api.errors import GatewayError, InvalidRequest, Unauthorized, Unavailable
from shared.api.ids import new_id
from shared.api.policies import Policy
from shared.api.requests import SubmitRequest
from shared.configuration.settings import SubmitSettings
from shared.logs import event
from shared.services import limits, preparing, submitting
from shared.store.callers import policies, usage
from shared.store.jobs.submissions import Limits, Submission
from shared.store.redis.client import async_client
from shared.store.schedules import schedules as store

log = logging.getLogger("worker.scheduler")

# A due time is missed when no worker has carried it out for so many ms.
MISSED_AFTER = 60_000
# Characters of the reason that a refused run keeps.
_LONGEST_REASON = 500


async def carry_out(found: store.Due, settings: SubmitSettings) -> None:
    """Carry out the due times of schedules that were found due."""
    done = await asyncio.gather(
        *(_carry_out(one, found.now, settings) for one in found.schedules), return_exceptions=True
    )
    for one, outcome in zip(found.schedules, done, strict=True):
        if isinstance(outcome, Exception):
            event(log, "schedule_not_run", logging.ERROR, schedule=one.schedule_id, error=type(outcome).__name__)


async def _carry_out(schedule: store.StoredSchedule, now: int, settings: SubmitSettings) -> None:
    cron, zone, caller = (schedule.record[name] for name in ("cron", "tz", "caller"))
    if not schedule.due:
        return
    latest = max(schedule.due, due_times.last(cron, zone, now))
    run = store.Run(
        schedule.schedule_id, caller, schedule.revision,
        due=schedule.due, latest=latest, next=due_times.first(cron, zone, now),
        is_missed=now - latest > MISSED_AFTER and schedule.record["catchup"] == "none",
    )  # fmt: skip
    client = async_client(settings.redis_address)
    policy = await policies.of(client, caller)
    applied = limits.of(caller, policy, settings)
    submission = None
    try:
        if not run.is_missed:
            submission, query = await _prepared(schedule, policy, now, settings)
            answer = await store.carry_out(client, run, submission, applied)
            submitting.accepted(answer, answer.job_id, query, applied, policy)
        else:
            answer = await store.carry_out(client, run, None, applied)
    except Unavailable:
        return  # for this moment only: the lease ends, and the next look finds the schedule again
    except GatewayError as error:
        answer = await _refused(run, error, applied, settings)
    event(
        log, "schedule_due", logging.INFO, schedule=schedule.schedule_id, outcome=answer.kind, job_id=answer.job_id,
        late_ms=now - latest,
    )  # fmt: skip


async def _refused(run: store.Run, error: GatewayError, applied: Limits, settings: SubmitSettings) -> store.Answer:
    run = run._replace(code=error.code, detail=error.detail[:_LONGEST_REASON])
    return await store.carry_out(async_client(settings.redis_address), run, None, applied)


async def _prepared(
    schedule: store.StoredSchedule, policy: Policy, now: int, settings: SubmitSettings
) -> tuple[Submission, SubmitRequest]:
    """Return the submission of a run; raises the error of a query that is not allowed any more."""
    if policy.expires_at is not None and policy.expires_at.timestamp() * 1000 <= now:
        raise Unauthorized("The caller's key has expired: expiresAt of its policy has passed")
    try:
        query = SubmitRequest.model_validate(schedule.query)
    except ValidationError:  # stored by a later version, or allowed by an earlier one
        raise InvalidRequest("The stored query is not one that this version of the gateway accepts") from None
    usage.current_key.set(schedule.record["label"])
    caller = schedule.record["caller"]
    return await submission_of(query, request_id=new_id(), caller=caller, settings=settings), query


async def submission_of(query: SubmitRequest, *, request_id: str, caller: str, settings: SubmitSettings) -> Submission:
    """Return the submission of a schedule's query: each run is one of its own. Raises the errors of `prepare`."""
    prepared = await preparing.prepare(
        query, request_id=request_id, caller=caller, idempotency_key=None, settings=settings, known_schema=True
    )
    prepared.read_cache = prepared.join = prepared.joinable = False
    return prepared
