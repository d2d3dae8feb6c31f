"""Decide the calls that paused jobs wait for: by the caller, an operator, or the holder of a one-use URL."""

import json
import logging
from dataclasses import dataclass
from typing import Any, Literal

from shared.api.approvals import DecisionRequest
from shared.api.errors import AlreadyDecided, FieldError, InvalidRequest, NotFound
from shared.api.ids import is_id
from shared.api.times import rfc3339
from shared.logs import event
from shared.services import auditing
from shared.store.callers.audit import Act
from shared.store.jobs import decisions, records
from shared.store.jobs.records import StoredJob
from shared.store.redis.client import async_client

log = logging.getLogger("audit")

# Bytes of a decision, as JSON.
MOST_BYTES = 65_536
_OVER = "This call was decided before, the time to decide is over, or its job has ended; the job is unchanged"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a decision on a caller's job comes from, for the audit list; its entry is kept for `keep_for` s."""

    via: Literal["api", "url"]
    request_id: str
    address: str | None
    keep_for: int


async def decide(
    job_id: str, ask: str, decision: DecisionRequest, *, caller: str | None, origin: Origin | None, redis_address: str
) -> StoredJob:
    """Decide what one of a caller's jobs is paused for, and return the job. Neither call nor message is audited.

    An operator has no caller and no origin: the admin API keeps its own audit entry. Raises NotFound, AlreadyDecided or
    InvalidRequest.
    """
    client = async_client(redis_address)
    found = await records.read(client, job_id, caller) if is_id(job_id) and is_id(ask) else None
    if found is None:
        raise NotFound("Job not found")
    if found.pending is not None and found.pending["id"] == ask:
        check(found.pending, decision)
    made = decision.model_dump(mode="json", by_alias=True, exclude_none=True)
    by: decisions.By = "admin" if origin is None else "url" if origin.via == "url" else "caller"
    answer = await decisions.decide(client, job_id, ask, made, caller=caller, by=by)
    if answer == "missing":
        raise NotFound("The job has no such decision")
    if answer == "over":
        raise AlreadyDecided(_OVER)
    details: dict[str, Any] = {"job_id": job_id, "decision_id": ask, "decision": decision.decision}
    event(log, "call_decided", **details, via="admin_api" if origin is None else origin.via)
    if origin is not None and caller is not None:
        act = Act("decide", caller, origin.via, details, origin.request_id, origin.address)
        await auditing.keep("callers", act, redis_address=redis_address, keep_for=origin.keep_for)
    job = await records.read(client, job_id, caller)
    if job is None:
        raise NotFound("Job not found")
    return job


async def by_token(job_id: str, token: str, *, redis_address: str) -> StoredJob | None:
    """Return the job whose one-use URL has a token; None when it was used, or is no longer valid."""
    if not is_id(job_id):
        return None
    job = await records.read(async_client(redis_address), job_id, None)
    return job if job is not None and decisions.is_token(job, token) else None


def check(pending: dict[str, Any], decision: DecisionRequest) -> None:
    """Raise InvalidRequest for a decision that does not fit the call."""
    errors = []
    if len(json.dumps(decision.model_dump(), ensure_ascii=False).encode("utf-8", "surrogatepass")) > MOST_BYTES:
        errors.append(FieldError("", f"should have at most {MOST_BYTES} bytes"))
    if pending["kind"] == "tool" and decision.answers is not None:
        errors.append(FieldError("/answers", "only for a question of the model"))
    if decision.updated_input == {} and pending["input"]:
        errors.append(FieldError("/updatedInput", "should not be empty: the call has an input"))
    if pending["kind"] == "question":
        if decision.updated_input is not None:
            errors.append(FieldError("/updatedInput", "not for a question of the model; send answers"))
        errors += _answer_problems(pending, decision)
    if errors:
        detail = "; ".join(f"{error.pointer.removeprefix('/') or 'decision'}: {error.message}" for error in errors)
        raise InvalidRequest(detail, errors=tuple(errors))


def _answer_problems(pending: dict[str, Any], decision: DecisionRequest) -> list[FieldError]:
    texts = {question["text"] for question in questions(pending["input"])}
    if decision.decision == "allow" and not decision.answers:
        return [FieldError("/answers", "should have an answer, by the text of its question")]
    unknown = [name for name in decision.answers or {} if name not in texts]
    return [FieldError("/answers", f"{len(unknown)} of the answers are to no question of the call")] if unknown else []


def questions(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the questions of a call, which may hold anything: `text`, `options` and whether several may be chosen."""
    found = given.get("questions")
    return [
        {"text": one["question"], "options": _labels(one.get("options")), "several": one.get("multiSelect") is True}
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict) and isinstance(one.get("question"), str)
    ]


def _labels(options: Any) -> list[str]:
    labels = [one.get("label") for one in options if isinstance(one, dict)] if isinstance(options, list) else []
    return [label for label in labels if isinstance(label, str)]


def when_over(pending: dict[str, Any]) -> str:
    """Return when the time to decide is over."""
    return rfc3339(pending["expiresAt"])
