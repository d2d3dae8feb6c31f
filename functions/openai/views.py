"""Jobs in the form of OpenAI's API."""

from collections.abc import Iterable
from typing import Any

from functions.openai import mcp_calls
from functions.openai.requests import PREFIX
from functions.openai.tools import calls_of, tools_shown
from functions.openai.usage import total_input
from shared.store.jobs.records import StoredJob

STATUSES = {"waiting": "queued", "delayed": "queued", "active": "in_progress", "paused": "in_progress"}
_ERRORS = {
    "rate_limited": "rate_limit_exceeded",
    "overloaded": "rate_limit_exceeded",
    "invalid_request": "invalid_prompt",
}


def response_of(
    job: StoredJob, request: dict[str, Any], *, model: str | None, steps: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Write a job as a response; `request` is its request, `model` the deployment's default model.

    The calls of MCP servers among the `steps` precede the text, which is that of the last turn.
    """
    result, session = job.result, request.get("conversation", {})
    chain = request.get("itemChain")
    previous = session.get("from") or (chain or {}).get("from")
    schema, options = request.get("outputSchema"), request.get("textFormat", {})
    functions = {tool["name"] for tool in request.get("clientTools", ())}
    calls = mcp_calls.items(job.job_id, steps, functions, ended=job.ended)
    json_schema = {"type": "json_schema", "name": "answer", "schema": schema, **options}
    return {
        "id": PREFIX + job.job_id,
        "object": "response",
        "created_at": int(job.record["created"]) // 1000,
        "status": _status(job),
        "background": not request.get("live", False),
        "error": _error(job),
        "incomplete_details": {"reason": "max_output_tokens"} if _is_cut(job) else None,
        "instructions": request.get("systemPrompt"),
        "max_output_tokens": request.get("maxOutputTokens"),
        "model": (result or {}).get("model") or request.get("model") or model or "default",
        "output": [*calls, *([] if result is None else _output(job, result))],
        # A session has the id of its first job.
        "previous_response_id": PREFIX + previous if previous else None,
        "reasoning": {"effort": request.get("effort"), "summary": None},
        "store": bool(session) or chain is not None,
        "temperature": None,
        "text": {"format": {"type": "text"} if schema is None else json_schema},
        **tools_shown(request),
        "top_p": None,
        "truncation": "disabled",
        "usage": None if result is None else _usage(result["usage"]),
        "metadata": job.metadata,
    }


def _output(job: StoredJob, result: dict[str, Any]) -> list[dict[str, Any]]:
    calls = calls_of(result)
    has_text = result["response"] or not calls
    items = [message(job.job_id, 0, result["response"], _item_status(job))] if has_text else []
    return items + [call_item(job.job_id, number, call) for number, call in enumerate(calls)]


def call_item(job_id: str, number: int, call: dict[str, str], status: str = "completed") -> dict[str, Any]:
    """Write a call of a function as an output item; its arguments are known when it is completed."""
    arguments = call["arguments"] if status == "completed" else ""
    item_id = f"fc_{job_id}_{number}"
    return {"id": item_id, "type": "function_call", "status": status, **call, "arguments": arguments}


def _is_cut(job: StoredJob) -> bool:
    return (job.result or {}).get("stopReason") == "max_tokens"


def _item_status(job: StoredJob) -> str:
    return "incomplete" if _is_cut(job) else "completed"


def _status(job: StoredJob) -> str:
    state = job.record["state"]
    return "incomplete" if _is_cut(job) else STATUSES.get(state, state)


def message(job_id: str, number: int, text: str, status: str = "completed") -> dict[str, Any]:
    """Write the text of an answer as an output item."""
    parts = [part(text)] if text or status == "completed" else []
    return {"id": item_id(job_id, number), "type": "message", "status": status, "role": "assistant", "content": parts}


def part(text: str) -> dict[str, Any]:
    """Write a content part of an item."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def item_id(job_id: str, number: int) -> str:
    """Return the id of an output item."""
    return f"msg_{job_id}" if number == 0 else f"msg_{job_id}_{number}"


def _error(job: StoredJob) -> dict[str, str] | None:
    if job.error is None:
        return None
    return error_of(job.error["code"], f"{job.error['code']}: {job.error['message']}")


def error_of(code: str, message: str) -> dict[str, str]:
    """Write the error of a response; `code` is that of a job."""
    return {"code": _ERRORS.get(code, "server_error"), "message": message}


def _usage(usage: dict[str, int]) -> dict[str, Any]:
    read = total_input(usage)
    cached = {"cached_tokens": usage["cacheReadTokens"], "cache_write_tokens": usage["cacheCreationTokens"]}
    return {
        "input_tokens": read,
        "input_tokens_details": cached,
        "output_tokens": usage["outputTokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + usage["outputTokens"],
    }
