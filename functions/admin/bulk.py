"""Retry, cancel or delete many jobs in bounded steps, and count them before."""

import asyncio
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictStr, model_validator

from functions.admin.finding import JobFilter
from shared.api.ids import is_id
from shared.api.sent_times import Time
from shared.api.times import rfc3339
from shared.api.vocabulary import TERMINAL, State
from shared.api.wire import Body
from shared.configuration.settings import AdminSettings
from shared.store.jobs import finding, operations, records
from shared.store.jobs.records import STATES
from shared.store.redis.client import async_client

Action = Literal["retry", "cancel", "delete"]
# The states in which an action changes a job.
APPLIES: dict[Action, tuple[State, ...]] = {
    "retry": ("failed", "cancelled"),
    "cancel": tuple(one for one in STATES if one not in TERMINAL),
    "delete": tuple(one for one in STATES if one in TERMINAL),
}
# Jobs that one request changes, and that one request counts.
_CHANGED, _COUNTED = 100, finding.EXAMINED


class BulkRequest(Body):
    """An action on the jobs of a filter, or on those of a list."""

    action: Action
    filter: JobFilter | None = None
    job_ids: list[Annotated[StrictStr, Field(max_length=36)]] | None = Field(None, min_length=1, max_length=_CHANGED)
    dry_run: StrictBool = Field(False, description="Count the jobs only.")
    as_of: Time | None = Field(
        None, description="Leave alone jobs that came or ended after this time: `asOf` of the response that counted."
    )
    cursor: Annotated[StrictStr, Field(pattern="^[0-9]{1,15}$")] | None = Field(
        None, description="`nextCursor` of the response before."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "BulkRequest":
        if (self.filter is None) == (self.job_ids is None):
            raise ValueError("should have either filter or jobIds")
        return self


async def apply(request: BulkRequest, settings: AdminSettings) -> dict[str, Any]:
    """Change the jobs of one step, or count them; `nextCursor` is null when the last step is done."""
    client = async_client(settings.redis_address)
    states = APPLIES[request.action]
    as_of = 0 if request.as_of is None else int(request.as_of.timestamp() * 1000)
    if request.job_ids is not None:
        wanted = list(dict.fromkeys(one for one in request.job_ids if is_id(one)))
        known = await finding.states(client, wanted)
        ids = wanted if not request.dry_run else [one for one in known if known[one][0] in states]
        time, examined, end = None, len(ids), None
    else:
        jobs = request.filter or JobFilter()
        most = _COUNTED if request.dry_run else _CHANGED
        before = None if request.cursor is None else int(request.cursor)
        found = await finding.find(client, jobs.wanted(states, as_of), most=most, before=before)
        time, examined, end, ids = found.time, found.examined, found.end, list(found.callers)
    answer: dict[str, Any] = {
        "action": request.action,
        "dryRun": request.dry_run,
        "count": len(ids),
        "examined": examined,
        "asOf": rfc3339(as_of) if as_of else None if time is None else rfc3339(time),
        "nextCursor": None if end is None else str(end),
    }
    if request.dry_run:
        return answer
    outcomes = await _change(request.action, ids, settings)
    done = [job_id for job_id, outcome in outcomes.items() if outcome == "done"]
    left = Counter(outcome for outcome in outcomes.values() if outcome != "done")
    return {**answer, "changed": len(done), "jobIds": done, "unchanged": dict(left)}


async def _change(action: Action, ids: list[str], settings: AdminSettings) -> dict[str, str]:
    """Change jobs, each in one step that checks its state again; return `done`, or why one is unchanged."""
    change = {"retry": _retry, "cancel": _cancel, "delete": _delete}[action]
    client = async_client(settings.redis_address)
    known = await finding.states(client, ids)
    applied = [one for one in ids if one in known and known[one][0] in APPLIES[action]]
    outcomes = await asyncio.gather(*(change(one, known[one][1], settings) for one in applied))
    found = {one: known[one][0] if one in known else "missing" for one in ids}
    return {**found, **dict(zip(applied, outcomes, strict=True))}


async def _retry(job_id: str, _: str, settings: AdminSettings) -> str:
    answer = await operations.retry(async_client(settings.redis_address), job_id)
    return "done" if answer == "waiting" else answer


async def _cancel(job_id: str, caller: str, settings: AdminSettings) -> str:
    client = async_client(settings.redis_address)
    answer = await records.cancel(client, job_id, caller, keep_for=settings.result_ttl)
    return "done" if answer == "cancelled" else answer


async def _delete(job_id: str, _: str, settings: AdminSettings) -> str:
    return "done" if await operations.forget(async_client(settings.redis_address), job_id) else "missing"
