"""Answers in the form of OpenAI's Chat Completions API, whole and streamed."""

import json
from typing import Any

from functions.openai.tools import calls_of
from functions.openai.usage import total_input
from shared.api.errors import GatewayError
from shared.api.lines import as_one_line
from shared.http.compat import openai_error
from shared.services.following import COMMENT
from shared.store.jobs.records import StoredJob

_FINISH = {"max_tokens": "length", "tool_use": "tool_calls"}


def completion_of(job: StoredJob, function: str | None = None) -> dict[str, Any]:
    """Write a completed job as a chat completion; with a function, the result is the arguments of its call."""
    result = job.result or {}
    message = {"role": "assistant", "content": result["response"], "refusal": None, "annotations": []}
    if calls := calls_of(result):
        message |= {"content": result["response"] or None, "tool_calls": [_function(call) for call in calls]}
    elif function is not None:
        message |= {"content": None, "tool_calls": [_call(job.job_id, function, result["response"])]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(result, function)}
    return {
        "id": f"chatcmpl-{job.job_id}",
        "object": "chat.completion",
        "created": int(job.record["created"]) // 1000,
        "model": result["model"],
        "choices": [choice],
        "usage": _usage(result["usage"]),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _function(call: dict[str, str]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["call_id"], "type": "function", "function": function}


def _call(job_id: str, function: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{job_id}", "type": "function", "function": {"name": function, "arguments": arguments}}


class ChatWriter:
    """Writes the chunks of one streamed completion: text, or the arguments of a function's call."""

    def __init__(
        self, job_id: str, model: str, created: int, *, include_usage: bool, function: str | None = None
    ) -> None:
        self._job_id, self._function = job_id, function
        self._base = {"id": f"chatcmpl-{job_id}", "object": "chat.completion.chunk", "created": created, "model": model}
        self._include_usage = include_usage

    def begin(self) -> bytes:
        """Write the chunk that precedes the text."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def add(self, text: str) -> bytes:
        """Write the next piece of text."""
        if self._function is not None:
            return self._chunk({"tool_calls": [{"index": 0, **_call(self._job_id, self._function, text)}]})
        return self._chunk({"content": text})

    def step(self, data: str) -> bytes:  # noqa: ARG002 -- a part of the protocol
        """Return nothing: this API has no form for a call that the gateway made."""
        return b""

    def restart(self) -> None:
        """Return None: a completion cannot take its text back."""

    def end(self, job: StoredJob, rest: str) -> bytes:
        """Write the rest of the text, the reason of the end, and the usage if the client wants it."""
        result = job.result or {}
        self._base["model"] = result["model"]
        written = self.add(rest) if rest else b""
        for index, call in enumerate(calls_of(result)):
            written += self._chunk({"tool_calls": [{"index": index, **_function(call)}]})
        written += self._chunk({}, _finish_reason(result, self._function))
        if self._include_usage:
            written += _data({**self._base, "choices": [], "usage": _usage(result["usage"])})
        return written + b"data: [DONE]\n\n"

    def fail(self, error: GatewayError) -> bytes:
        """Write the error that ends the stream."""
        return _data({"error": openai_error(error)[1]})

    def keep_alive(self) -> bytes:
        """Write a comment."""
        return COMMENT

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._include_usage else {}
        return _data({**self._base, "choices": [choice], **usage})


def _data(body: dict[str, Any]) -> bytes:
    return f"data: {as_one_line(json.dumps(body, ensure_ascii=False))}\n\n".encode()


def _finish_reason(result: dict[str, Any], function: str | None) -> str:
    return "tool_calls" if function is not None else _FINISH.get(result.get("stopReason", ""), "stop")


def _usage(usage: dict[str, int]) -> dict[str, Any]:
    read = total_input(usage)
    return {
        "prompt_tokens": read,
        "completion_tokens": usage["outputTokens"],
        "total_tokens": read + usage["outputTokens"],
        "prompt_tokens_details": {"cached_tokens": usage["cacheReadTokens"], "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
