"""The outcome of a run, read from the CLI's result envelope and the API's error, never from an exit code.

what the run showed                                              code
---------------------------------------------------------------  ---------------------
the envelope is a success, with a turn of a model and text       completed
… without a turn of a model, or without text                     empty_result
… without an answer that matches the outputSchema                schema_unsatisfied
an answer at its maxOutputTokens whose client waits              completed
envelope error_max_turns                                         max_turns
envelope error_max_budget_usd                                    budget_exceeded
envelope error_max_structured_output_retries                     schema_unsatisfied
envelope error_during_execution or unknown                       server_error
API error, by its kind (_BY_KIND) when that is more specific     …
  than "server_error", else by its HTTP status (_BY_STATUS), else server_error
nothing from the API for CLAUDE_SILENCE_TIMEOUT                  server_error
more than MAX_OUTPUT_BYTES                                       output_too_large
a session that does not exist, or no longer exists               session_not_found
a required MCP server that did not start or died                 mcp_unavailable
more than MAX_RUN_MEMORY or MAX_RUN_PROCESSES                    resource_exceeded
the end of the clock                                             timeout
no envelope, whatever the exit code                              cli_crashed
two workers that were lost with the job (see rescue.lua)         worker_lost
the end of the time for a decision (see expire_decisions.lua)    approval_expired
a credential of the caller that cannot be used                   credential_unavailable
a file, an attachment or a repository that the run cannot have   workspace_failed
files or a repository above MAX_WORKSPACE_BYTES                  workspace_too_large
"""

import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from functions.worker.jobs.messages import MESSAGES
from shared.api.vocabulary import ErrorCode
from shared.store.jobs.claims import Upstream
from shared.store.jobs.outputs import described

if TYPE_CHECKING:
    from collections.abc import Sequence

    # The pool judges no run, and does not need these at run time.
    from claude_agent_sdk import ResultMessage

    from functions.worker.cli.report import Report
    from shared.store.callers.spending import Spend
    from shared.store.jobs.outputs import Outputs
    from shared.store.jobs.pauses import Question

_BY_STATUS: dict[int, ErrorCode] = {
    400: "invalid_request",
    401: "authentication_failed",
    402: "billing_error",
    403: "authentication_failed",
    404: "model_not_found",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limited",
}
_BY_KIND: dict[str, ErrorCode] = {
    "authentication_failed": "authentication_failed",
    "oauth_org_not_allowed": "authentication_failed",
    "billing_error": "billing_error",
    "rate_limit": "rate_limited",
    "overloaded": "overloaded",
    "invalid_request": "invalid_request",  # a prompt too long, or a refusal by the model's safeguards
    "model_not_found": "model_not_found",
    "max_output_tokens": "output_too_large",
}
_BY_SUBTYPE: dict[str, ErrorCode] = {
    "error_max_turns": "max_turns",
    "error_max_budget_usd": "budget_exceeded",
    "error_max_structured_output_retries": "schema_unsatisfied",
}
RETRYABLE: frozenset[ErrorCode] = frozenset(
    {"rate_limited", "overloaded", "server_error", "cli_crashed", "worker_lost"}
)
_REFUSED: frozenset[ErrorCode] = frozenset({"authentication_failed", "billing_error"})
# These do not show whether Claude would have answered.
_SILENT: frozenset[ErrorCode] = frozenset(
    {
        "overloaded",
        "server_error",
        "timeout",
        "cli_crashed",
        "worker_lost",
        "resource_exceeded",
        "session_not_found",
        "workspace_failed",
        "workspace_too_large",
    }
)  # fmt: skip
# The CLI does not report a `retry-after` above this, but ends at once; ms, measured.
_LONGEST_REPORTED = 60_000
_LONGEST_WAIT = 600_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt: `body` is `{"result": …}` or `{"error": …}` as the API shows it.

    `retry_after` is the time for which Claude accepts no request, ms; None when Claude did not say. `shows_upstream` is
    False for what only the CLI reports, and for a run on the caller's own credential.
    """

    state: Literal["completed", "failed", "paused"]
    body: dict[str, Any]
    retry_after: int | None = None
    spend: "Sequence[Spend]" = ()
    absent: tuple[str, ...] = ()
    seen: dict[str, Any] = field(default_factory=dict)
    shows_upstream: bool = True
    outputs: "Outputs | None" = None
    # Of a run that is paused: the call, and what the run that goes on needs.
    question: "Question | None" = None
    resume: dict[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> ErrorCode | None:
        """The error's code; None for a success."""
        code: ErrorCode | None = self.body.get("error", {}).get("code")
        return code

    @property
    def cost_usd(self) -> float:
        """The cost of a success as its result shows it, USD; 0 for a failure."""
        return float(self.body["result"]["costUsd"]) if "result" in self.body else 0.0

    @property
    def session_id(self) -> str | None:
        """The session that a success is kept as."""
        session_id: str | None = self.body.get("result", {}).get("sessionId")
        return session_id

    @property
    def upstream(self) -> Upstream:
        """The state of Claude that the attempt showed, for the whole fleet."""
        code = self.code
        if not self.shows_upstream:
            return Upstream()
        if code in _REFUSED:
            return Upstream("refused", code)
        if code == "rate_limited":
            return Upstream("limited", code, min(self.retry_after or 0, _LONGEST_WAIT))
        return Upstream("" if code in _SILENT else "answered")


def failed(code: ErrorCode, retry_after: int | None = None, message: str = "") -> Outcome:
    """Return the outcome of a failure; `message` says more than the message of the code."""
    error = {"code": code, "message": message or MESSAGES[code], "retryable": code in RETRYABLE}
    return Outcome("failed", {"error": error}, retry_after)


def with_outputs(outcome: Outcome, outputs: "Outputs | None") -> Outcome:
    """Return an outcome with the files that the run has left; the result of a success describes them."""
    if outputs is None or "result" not in outcome.body:
        return replace(outcome, outputs=outputs)
    return replace(outcome, outputs=outputs, body={"result": outcome.body["result"] | described(outputs)})


def judge(report: "Report", *, max_output_bytes: int, session_id: str | None = None) -> Outcome:
    """Return the outcome of a run, with its cost and the MCP servers that were absent.

    A success is kept as the session `session_id`.
    """
    outcome = _judge(report, max_output_bytes, session_id)
    shows = report.relayed is None or report.relayed.confirms(outcome.code)
    return replace(outcome, spend=report.spends, absent=report.absent, seen=report.seen, shows_upstream=shows)


def _judge(report: "Report", max_output_bytes: int, session_id: str | None) -> Outcome:
    if report.failure is not None:
        return failed(report.failure, report.retry_after, report.message)
    if report.is_cut or report.calls:
        return _ended_early(report, max_output_bytes)
    if report.question is not None:
        return Outcome("paused", {}, question=report.question)
    envelope = report.envelope
    if envelope is None:
        return failed("cli_crashed")
    if envelope.subtype != "success":
        return failed(_BY_SUBTYPE.get(envelope.subtype, "server_error"))
    if envelope.is_error or report.error_kind is not None:
        code = _api_error(envelope.api_error_status, report.error_kind)
        return failed(code, report.retry_after or (_LONGEST_REPORTED if code == "rate_limited" else None))
    return _answer(report, envelope, max_output_bytes, session_id)


def _answer(report: "Report", envelope: "ResultMessage", max_output_bytes: int, session_id: str | None) -> Outcome:
    """Return the outcome of a run that the CLI reports as a success."""
    if report.structured is not None and not report.structured.fits:
        return failed("schema_unsatisfied")
    without_text = report.structured is None and not report.answer.strip()
    if envelope.num_turns < 1 or report.model is None or without_text:
        return failed("empty_result")
    result = _result(report, report.model, session_id)
    earlier = report.earlier
    duration, turns = earlier.duration + envelope.duration_ms, earlier.turns + envelope.num_turns
    result |= {"durationMs": duration, "turns": turns}
    return _bounded(result, max_output_bytes)


def _ended_early(report: "Report", max_output_bytes: int) -> Outcome:
    """Return the outcome of an answer that reached its limit, or that ends with calls of the client's tools.

    The CLI was ended before it wrote an envelope, or the answer into the session's transcript: no session is kept.
    """
    ended: dict[str, Any] = {"stopReason": "max_tokens"}
    if report.calls:
        ended = {"stopReason": "tool_use", "toolCalls": report.calls}
        # Text beside a call is no structured answer, and a client would parse it as one.
        report = report if report.structured is None else replace(report, structured=None, text="")
    elif report.structured is not None:
        return failed("output_too_large")
    model = report.model or next((spend.model for spend in report.spends), "unknown")
    turns = 1 if report.relayed is None else max(1, report.relayed.limits.turns)
    took = int((time.monotonic() - report.began) * 1000)
    result = {**_result(report, model, None), "durationMs": took, "turns": turns, **ended}
    return _bounded(result, max_output_bytes)


def _bounded(result: dict[str, Any], max_output_bytes: int) -> Outcome:
    if len(_json_bytes(result)) > max_output_bytes:
        return failed("output_too_large")
    return Outcome("completed", {"result": result})


def _api_error(status: int | None, kind: str | None) -> ErrorCode:
    # A 529 has the kind server_error, a 402 none; a credit balance that is too low is a 400 with a kind of its own.
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    if status is None or status >= 500:
        return "overloaded" if status == 529 else "server_error"
    return _BY_STATUS.get(status, "invalid_request")


def _json_bytes(value: dict[str, Any]) -> bytes:
    # A lone surrogate counts like any other character.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _result(report: "Report", model: str, session_id: str | None) -> dict[str, Any]:
    structured = report.structured
    spends = (*report.earlier.spends, *report.spends)
    response = report.answer if structured is None else json.dumps(structured.value, ensure_ascii=False)
    return {
        # The CLI passes lone surrogates, which UTF-8 cannot encode.
        "response": response.encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
        "format": "text" if structured is None else "json",
        "structured": None if structured is None else structured.value,
        "sessionId": session_id,
        "model": model,
        "usage": _usage(spends),
        "costUsd": sum(spend.cost or 0.0 for spend in spends),
    }


def _usage(spends: "Sequence[Spend]") -> dict[str, int]:
    """Add up the billed tokens: those of every model of the run, subagents included."""
    return {
        "inputTokens": sum(spend.input for spend in spends),
        "outputTokens": sum(spend.output for spend in spends),
        "cacheReadTokens": sum(spend.cache_read for spend in spends),
        "cacheCreationTokens": sum(spend.cache_creation for spend in spends),
    }
