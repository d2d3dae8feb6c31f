"""Batches and their results in the form of Anthropic's API."""

import json
from typing import Any

from shared.api.lines import as_one_line
from shared.api.times import when
from shared.store.jobs.batches import StoredBatch
from shared.store.jobs.records import StoredJob

PREFIX = "msgbatch_"
_DAY = 86_400_000
# Our error code → the type of Anthropic's API.
_ERRORS = {
    "authentication_failed": "authentication_error",
    "billing_error": "billing_error",
    "rate_limited": "rate_limit_error",
    "overloaded": "overloaded_error",
    "invalid_request": "invalid_request_error",
    "model_not_found": "not_found_error",
    "timeout": "timeout_error",
}


def batch_of(batch: StoredBatch) -> dict[str, Any]:
    """Write a batch. As in Anthropic's API, requests count as ended only when all have ended."""
    counts, ended = batch.counts, batch.ended
    created, cancelling = batch.moment("created"), batch.moment("cancelling")
    name = PREFIX + batch.batch_id
    return {
        "id": name,
        "type": "message_batch",
        "processing_status": "ended" if ended else "canceling" if cancelling else "in_progress",
        "request_counts": {
            "processing": 0 if ended else counts["total"],
            "succeeded": counts["completed"] if ended else 0,
            "errored": counts["failed"] if ended else 0,
            "canceled": counts["cancelled"] if ended else 0,
            "expired": 0,
        },
        "created_at": when(created),
        # A batch has no deadline of its own; this is when its results are deleted.
        "expires_at": when(batch.moment("expires") or (created or 0) + _DAY),
        "ended_at": when(batch.moment("finished")),
        "cancel_initiated_at": when(cancelling),
        "archived_at": None,
        "results_url": f"/v1/messages/batches/{name}/results" if ended else None,
    }


def line_of(name: str, job: StoredJob | None) -> str:
    """Write the result of one request as a line of JSON."""
    return as_one_line(json.dumps({"custom_id": name, "result": _result(job)}, ensure_ascii=False)) + "\n"


def _result(job: StoredJob | None) -> dict[str, Any]:
    if job is None:
        return {"type": "expired"}
    if job.result is not None:
        return {"type": "succeeded", "message": message_of(job.job_id, job.result)}
    if job.error is None:
        return {"type": "canceled"}
    code = job.error["code"]
    error = {"type": _ERRORS.get(code, "api_error"), "message": f"{code}: {job.error['message']}"}
    return {"type": "errored", "error": {"type": "error", "error": error, "request_id": job.record["req"]}}


def message_of(job_id: str, result: dict[str, Any], tool: str | None = None) -> dict[str, Any]:
    """Write the result of a job as a message; with a tool, the result is the input of that."""
    calls = calls_of(result)
    content: list[dict[str, Any]] = [{"type": "text", "text": result["response"]}]
    if calls and not result["response"]:
        content = []
    if tool is not None and not calls:
        content = [{**tool_use(job_id, tool), "input": result["structured"]}]
    return {
        **begun_message(job_id, result["model"]),
        "content": content + calls,
        "stop_reason": stop_reason_of(result, tool),
        "usage": usage_of(result),
    }


def tool_use(job_id: str, name: str) -> dict[str, Any]:
    """Write the use of a tool of which nothing but the name is known yet."""
    return {"type": "tool_use", "id": f"toolu_{job_id}", "name": name, "input": {}}


def calls_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Write the calls of the client's tools."""
    return [{"type": "tool_use", **call} for call in result.get("toolCalls", ())]


def stop_reason_of(result: dict[str, Any], tool: str | None) -> str:
    """Return why the model stopped."""
    return str(result.get("stopReason", "end_turn")) if tool is None else "tool_use"


def begun_message(job_id: str, model: str) -> dict[str, Any]:
    """Write a message of which nothing is known yet."""
    return {
        "id": f"msg_{job_id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": dict.fromkeys(_USAGE.values(), 0),
    }


_USAGE = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadTokens": "cache_read_input_tokens",
    "cacheCreationTokens": "cache_creation_input_tokens",
}


def usage_of(result: dict[str, Any]) -> dict[str, int]:
    """Write the tokens of a result."""
    return {theirs: result["usage"][ours] for ours, theirs in _USAGE.items()}
