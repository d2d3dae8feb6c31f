"""The spans of an attempt: the pause that it ends, its wait, its run with requests and tools; at its end the job."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import SplitResult

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.cli.plan import RunPlan
from functions.worker.jobs.outcome import Outcome
from functions.worker.relay.run import ModelRequest
from shared.api.steps import Step
from shared.configuration.settings import WorkerSettings
from shared.store.callers.spending import Spend
from shared.store.jobs import claims
from shared.store.jobs.claims import ClaimedJob
from shared.tracing import context, spans
from shared.tracing.spans import Span, Value

# A tool can ask the relay itself, and name any text as the model.
_WORD = re.compile(r"[\w.:@/\[\]-]{1,100}", re.ASCII)
_PROVIDER = {"gen_ai.provider.name": "anthropic"}


class AttemptTrace:
    """Records the spans of an attempt. `run` is the context of its run."""

    def __init__(self, job: ClaimedJob, plan: RunPlan, settings: WorkerSettings, claude: SplitResult | None) -> None:
        self._job, self._plan, self._claude = job, plan, claude
        self._captures = settings.otel_capture_content
        self._parent = context.parse(job.origin.trace)
        ratio = settings.otel_traces_sampler_arg
        self._span = context.of_job(job.claim.job_id, self._parent, job.origin.round, ratio)
        self.run = context.TraceContext(
            self._span.trace_id, _id_of(str(job.claim)), self._span.is_sampled, self._span.state
        )
        self._began = spans.now()
        self._ended: int | None = None
        self._tools: dict[str, str] = {}
        self._ids: dict[str, Value] = {
            "claude_gateway.job.id": job.claim.job_id,
            "claude_gateway.request.id": job.request_id,
        }
        self._record_waits()

    def _record_waits(self) -> None:
        origin, parent, claimed = self._job.origin, self._span, self._job.origin.claimed * 1_000_000
        if origin.paused and (resumption := self._job.resumption) is not None:
            parent = self._span.child()
            decided: dict[str, Value | None] = {
                "gen_ai.tool.name": word(resumption.tool),
                "claude_gateway.decision": resumption.decision["decision"],
            }
            self._record("pause", parent, self._span, origin.paused * 1_000_000, claimed, decided)
        if origin.since:
            self._record("wait", parent.child(), parent, origin.since * 1_000_000, claimed, {})

    def requested(self, request: ModelRequest) -> None:
        """Record a request to Claude."""
        meter, model = request.meter, word(request.model)
        attributes: dict[str, Value | None] = {
            "gen_ai.operation.name": "chat",
            **_PROVIDER,
            "gen_ai.request.model": model,
            "server.address": None if self._claude is None else self._claude.hostname,
            "server.port": None if self._claude is None else self._claude.port,
            "http.response.status_code": request.status,
            "claude_gateway.claude_request.id": request.request_id,
        }
        if meter is not None:
            attributes |= _usage([] if meter.spend is None else [meter.spend])
            attributes["gen_ai.response.model"] = word(meter.model)
            attributes["gen_ai.response.finish_reasons"] = [word(meter.stop_reason)] if meter.stop_reason else None
        name = f"chat {model}"
        self._record(
            name, self.run.child(), self.run, request.began, spans.now(), attributes, request.error, kind="client"
        )

    def step_ended(self, step: Step, began: int) -> None:
        """Record a call of a tool; one of a subagent is below the call that started the subagent."""
        parent = self.run if step.parent_id is None else self._tool(step.parent_id)
        attributes: dict[str, Value | None] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": step.tool,
            "gen_ai.tool.call.id": step.id,
            "gen_ai.tool.type": "function",
        }
        if self._captures:
            attributes |= {"gen_ai.tool.call.arguments": _json(step.input), "gen_ai.tool.call.result": step.output}
        error = None if step.status == "completed" else step.status
        self._record(f"execute_tool {step.tool}", self._tool(step.id), parent, began, spans.now(), attributes, error)

    def run_ended(self) -> None:
        """Take the present time as the end of the run."""
        self._ended = spans.now()

    async def close(
        self,
        client: redis.asyncio.Redis,
        outcome: Outcome | None,
        lost_by: str | None,
        spend: Sequence[Spend],
        *,
        ends_job: bool,
    ) -> None:
        """Record the run, and the job if it has ended; `lost_by` says why the outcome counts for nothing."""
        if lost_by == "claim_lost":
            with suppress(RedisError):
                if await claims.is_cancelled(client, self._job.claim.job_id):
                    lost_by = "cancelled"
        if lost_by is not None or outcome is None:
            self._record_run(None, lost_by or "not_settled", spend)
        else:
            self._record_run(outcome, outcome.code, outcome.spend)
        if lost_by == "cancelled":
            self._record_job("cancelled", None)
        elif ends_job and outcome is not None:
            self._record_job(outcome.state, outcome.code)

    def _record_run(self, outcome: Outcome | None, error: str | None, spend: Sequence[Spend]) -> None:
        result = {} if outcome is None else outcome.body.get("result", {})
        session = self._plan.session
        attributes: dict[str, Value | None] = {
            "gen_ai.operation.name": "invoke_agent",
            **_PROVIDER,
            "gen_ai.request.model": self._plan.options.model,
            "gen_ai.response.model": result.get("model"),
            "gen_ai.conversation.id": None if session is None else session.session_id,
            **_usage(spend),
            "claude_gateway.attempt": self._job.attempts + 1,
        }
        if self._captures:
            attributes["gen_ai.input.messages"] = _message("user", self._plan.prompt.query)
            if "response" in result:
                attributes["gen_ai.output.messages"] = _message("assistant", result["response"])
        ended = self._ended or spans.now()
        self._record("invoke_agent", self.run, self._span, self._began, ended, attributes, error)

    def _record_job(self, state: str, code: str | None) -> None:
        attributes = {"claude_gateway.job.state": state}
        began = self._job.origin.began * 1_000_000
        self._record("job", self._span, self._parent, began, spans.now(), attributes, code)

    def _tool(self, step_id: str) -> context.TraceContext:
        span_id = self._tools.setdefault(step_id, self.run.child().span_id)
        return context.TraceContext(self.run.trace_id, span_id, self.run.is_sampled, self.run.state)

    def _record(
        self,
        name: str,
        own: context.TraceContext,
        parent: context.TraceContext | None,
        began: int,
        ended: int,
        attributes: Mapping[str, Value | None],
        error: str | None = None,
        *,
        kind: spans.Kind = "internal",
    ) -> None:
        spans.record(Span(name, own, parent, began, ended, kind, {**self._ids, **attributes}, error))


def begin(job: ClaimedJob, plan: RunPlan, settings: WorkerSettings, claude: SplitResult | None) -> AttemptTrace | None:
    """Return the trace of an attempt; None in a worker without traces."""
    return AttemptTrace(job, plan, settings, claude) if spans.is_on() else None


def _id_of(claim: str) -> str:
    """Return the id of a run's span, which a slot computes again when it ends what another one has run."""
    return hashlib.sha256(claim.encode()).hexdigest()[:16]


def _usage(spend: Sequence[Spend]) -> dict[str, Value]:
    """Return the tokens; by the conventions those of the input include what the cache holds."""
    if not spend:
        return {}
    read, created = sum(one.cache_read for one in spend), sum(one.cache_creation for one in spend)
    return {
        "gen_ai.usage.input_tokens": sum(one.input for one in spend) + read + created,
        "gen_ai.usage.output_tokens": sum(one.output for one in spend),
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_creation.input_tokens": created,
    }


def word(text: str) -> str:
    """Return a name that a run or a server gave, if it has the form of one."""
    return text if _WORD.fullmatch(text) else "unknown"


def _message(role: str, text: str) -> str:
    return _json([{"role": role, "parts": [{"type": "text", "content": text[: spans.LONGEST_VALUE // 2]}]}])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
