"""Find jobs for operators, and what a list shows of each."""

import asyncio
import json
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StrictStr

from shared.api.errors import NotFound
from shared.api.ids import is_id
from shared.api.pages import fitting
from shared.api.sent_times import Time
from shared.api.views import listed
from shared.api.vocabulary import State
from shared.api.wire import Body
from shared.configuration.settings import AdminSettings
from shared.store.jobs import events, finding
from shared.store.jobs.records import STATES
from shared.store.redis.client import async_client

# Characters of a query that a list shows.
_WORDS = 100
# Events that one request reads, and characters of their text after which it ends.
_EVENTS, _TEXT = 1000, 500_000
_QUERY = re.compile(r'\{"query":"((?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*)')
# Compat APIs and webhooks put a word before an id. Webhooks of pauses and retries, and parts of messages, have more
# behind it.
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID = re.compile(rf"(?:[a-z]+[_-])?({_UUID}(?:\.(?:\d+|{_UUID}))?)(?:_\d+)?\Z", re.IGNORECASE)

Text = Annotated[StrictStr, Field(max_length=200)]


class JobFilter(Body):
    """What a job must have; an absent field stands for any."""

    state: State | None = None
    code: Text | None = Field(None, description="The error code of a failure.")
    caller: Text | None = Field(None, description="The id or the name of a caller.")
    model: Text | None = Field(
        None, description="The model that answered last or, before the first answer, that the request names."
    )
    batch_id: Text | None = None
    schedule_id: Text | None = None
    session_id: Text | None = None
    created_since: Time | None = None
    created_until: Time | None = None
    metadata: list[Annotated[StrictStr, Field(max_length=577)]] = Field(
        default_factory=list, max_length=16, description="`KEY=VALUE`, or `KEY` for any value; all of them."
    )
    id: Text | None = Field(
        None, description="The id of a job, request, response, batch, session, schedule or webhook event."
    )

    def wanted(self, states: tuple[State, ...] = STATES, as_of: int = 0) -> finding.Wanted:
        """Return the filter in the form of the store, for jobs in some of these states only."""
        return finding.Wanted(
            id=_plain(self.id) if self.id else "",
            caller=self.caller or "",
            code=self.code or "",
            model=self.model or "",
            batch=_plain(self.batch_id) if self.batch_id else "",
            schedule=self.schedule_id or "",
            session=self.session_id or "",
            created_since=_milliseconds(self.created_since),
            created_until=_milliseconds(self.created_until),
            as_of=as_of,
            metadata=self.metadata,
            states=[one for one in states if self.state in {None, one}],
        )


def _milliseconds(time: datetime | None) -> int:
    # No job is older than the epoch, and 0 stands for any time.
    return 0 if time is None else max(1, int(time.timestamp() * 1000))


def _plain(text: str) -> str:
    found = _ID.match(text.strip())
    return found[1].lower() if found else text.strip()


async def page(wanted: JobFilter, limit: int, cursor: str | None, settings: AdminSettings) -> dict[str, Any]:
    """List the jobs of all callers that match, newest first.

    A search examines a bounded number of jobs: with a `nextCursor`, fewer jobs than `limit` are not all.
    """
    client = async_client(settings.redis_address)
    before = None if cursor is None else int(cursor)
    found = await finding.find(client, wanted.wanted(), most=limit, before=before)
    rows = await finding.rows(client, list(found.callers))
    jobs = fitting((_row(row, found.callers[row.job.job_id]) for row in rows), lambda one: len(json.dumps(one)))
    end = found.end if len(jobs) == len(rows) else int(rows[len(jobs) - 1].job.record["seq"])
    return {"jobs": jobs, "nextCursor": None if end is None else str(end), "examined": found.examined}


def _row(row: finding.Row, caller: str) -> dict[str, Any]:
    record, tried = row.job.record, row.job.attempts
    started, finished = row.job.moment("started"), row.job.moment("finished")
    whole = json.loads(row.request) if 0 < len(row.request) < finding.BEGINNING else {}
    answered = tried[-1].seen.get("model") if tried else None
    return {
        **listed(row.job).model_dump(by_alias=True),
        "caller": record["caller"],
        "callerName": caller or None,
        "words": words(record.get("words") or row.request.decode("utf-8", "ignore")),
        "model": answered or whole.get("model"),
        "costUsd": float(record.get("cost", 0)),
        "durationMs": finished - started if started is not None and finished is not None else None,
    }


def words(request: str) -> str | None:
    """Return the first words of the query in the beginning of a request; None when the request is gone."""
    found = _QUERY.match(request)
    if found is None:
        return None
    text: str = json.loads(f'"{found[1]}"', strict=False)
    # A pair of surrogates may be cut, and half of one is no text.
    return " ".join(text.encode("utf-8", "ignore").decode().split())[:_WORDS]


async def text_since(job_id: str, cursor: str | None, settings: AdminSettings) -> dict[str, Any]:
    """Return the text of a job's events after a cursor, and the cursor of the next text; raises NotFound."""
    client = async_client(settings.redis_address)
    known, found = await asyncio.gather(
        finding.states(client, [job_id]), events.since(client, job_id, cursor or events.FIRST, _EVENTS)
    )
    if not is_id(job_id) or not known:
        raise NotFound("Job not found")
    text, reset, last, read = "", cursor is None, cursor or events.FIRST, 0
    for event in found:
        last, read = event.id, read + 1
        if event.kind == "reset":
            text, reset = "", True
        elif event.kind == "delta":
            text += event.data
        if len(text) > _TEXT:
            break
    return {"text": text, "reset": reset, "cursor": last, "more": read < len(found) or len(found) == _EVENTS}
