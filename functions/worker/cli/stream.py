"""The messages of a CLI: read until its envelope or another reason to stop, and recorded in the report."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from claude_agent_sdk import (
    AssistantMessage,
    RateLimitEvent,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TextBlock,
    UserMessage,
)
from claude_agent_sdk.types import Message, RateLimitInfo

from functions.worker.cli.answer_text import AnswerText
from functions.worker.cli.client_calls import CallError, ClientCalls
from functions.worker.cli.envelope import checked, name_of_model
from functions.worker.cli.mcp_servers import Expected
from functions.worker.cli.publisher import Publisher
from functions.worker.cli.report import MOST_REQUESTS, Report
from functions.worker.cli.steering import Steering
from functions.worker.cli.steps import Steps
from functions.worker.cli.structured_input import StructuredInput
from functions.worker.relay.metering import INCOMPLETE
from shared.api.times import rfc3339
from shared.configuration.settings import WorkerSettings

# Characters of the CLI's text about a failure that are kept.
_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Reading:
    """What observes the messages of a run; `cuts_answer` is as in `RunOptions`.

    `client_tools` are the names of the tools whose calls end the run, because its client carries them out.
    """

    servers: Expected
    publisher: Publisher
    steps: Steps
    steering: Steering
    cuts_answer: bool = False
    client_tools: frozenset[str] = frozenset()


async def read_messages(
    messages: AsyncIterator[Message],
    report: Report,
    settings: WorkerSettings,
    reading: Reading,
) -> None:
    """Fill the report from the messages, and publish them; stop early at too much text or silence.

    An answer is the last one when the model has received every message to the job.

    Silence is limited while the model writes: from a request to its first token and between two tokens, not while a
    tool works. A relay limits silence itself, for each request.
    """
    limit = None if report.relayed is not None else settings.claude_silence_timeout / 1000
    answer, structured_input, calls = AnswerText(), StructuredInput(), ClientCalls(reading.client_tools)
    try:
        async with asyncio.timeout(limit) as timeout:
            silence_limit = _SilenceLimit(timeout, limit)
            async for message in messages:
                if _lacks_required_server(message, report, reading.servers):
                    return
                if text := answer.observe(message):
                    report.text_bytes += len(text.encode("utf-8", "surrogatepass"))
                    reading.publisher.add_text(text)
                reading.steps.observe(message)
                reading.steering.observe(message)
                report.text = answer.text
                structured_input.observe(message)
                if found := calls.observe(message):
                    report.calls = found
                    return
                is_last = _is_last(message, report, structured_input, cuts_answer=reading.cuts_answer)
                if is_last and _is_answer(message):
                    is_last = await reading.steering.may_end()
                if is_last or _is_too_large(report, settings.max_output_bytes - calls.size):
                    return
                silence_limit.observe(message)
    except (TimeoutError, CallError):
        report.failure = "server_error"


def _is_answer(message: Message) -> bool:
    """Return whether a message ends an answer; a run that ends for a decision passes its messages on afterwards."""
    return isinstance(message, ResultMessage) and not message.is_error and message.deferred_tool_use is None


class _SilenceLimit:
    """The limit on silence of a CLI without a relay: its clock runs while the model writes."""

    def __init__(self, timeout: asyncio.Timeout, limit: float | None) -> None:
        self._timeout, self._limit = timeout, limit

    def observe(self, message: Message) -> None:
        """Restart or stop the clock, by whether the model or a tool works next."""
        match message:
            case StreamEvent(event={"type": "message_stop"}):
                self._timeout.reschedule(None)  # a tool may take any time
            case StreamEvent() | UserMessage():
                self._start()
            case SystemMessage(subtype="api_retry", data={"retry_delay_ms": int(delay) | float(delay)}):
                self._start(delay / 1000)
            case _:
                pass

    def _start(self, delay: float = 0) -> None:
        if self._limit is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._limit + delay)


def _lacks_required_server(message: Message, report: Report, servers: Expected) -> bool:
    """Record servers and usage; return whether a server that the job requires is absent."""
    servers.observe(message)
    report.absent, report.truncated = servers.absent, servers.truncated
    if servers.required_is_absent:
        report.failure = "mcp_unavailable"
    elif report.meter is not None and report.relayed is None:
        report.meter.observe(message)
    return servers.required_is_absent


def _is_too_large(report: Report, limit: int) -> bool:
    if report.text_bytes > limit:
        report.failure = "output_too_large"
    return report.text_bytes > limit


def _is_last(message: Message, report: Report, structured_input: StructuredInput, *, cuts_answer: bool) -> bool:
    """Record a message in the report; return whether it is the last one to read."""
    match message:
        case StreamEvent(
            event={"type": "message_delta", "delta": {"stop_reason": str(reason)}}, parent_tool_use_id=None
        ) if reason in INCOMPLETE:
            # The CLI would let the model continue, and return only its last message as the whole answer.
            report.is_cut = cuts_answer and reason == "max_tokens"
            report.failure = None if report.is_cut else "output_too_large"
            return True
        case AssistantMessage():
            _note(report, message)
        case RateLimitEvent(rate_limit_info=RateLimitInfo(status="rejected", resets_at=int(resets_at))) if (
            report.relayed is None
        ):
            # A relay knows what Claude asked for.
            report.retry_after = max(1, int((resets_at - time.time()) * 1000))
        case SystemMessage(subtype="api_retry", data=data):
            # The CLI's own retry, only with a cloud provider, which has no relay.
            _note_retry(report, data)
        case SystemMessage(subtype="mirror_error"):
            # The transcript could not be stored: the session would continue without it.
            report.failure = "server_error"
            return True
        case ResultMessage():
            message = checked(message)
            if before := report.envelope:  # of an answer that a message to the job has followed
                turns, took = before.num_turns + message.num_turns, before.duration_ms + message.duration_ms
                message = replace(message, num_turns=turns, duration_ms=took)
            report.envelope = message
            if report.shown and report.shown[-1]["status"] is None:
                report.shown[-1]["status"] = message.api_error_status
            report.structured_input = structured_input.exact(message.structured_output)
            return True
        case _:
            pass
    return False


def _note(report: Report, message: AssistantMessage) -> None:
    if message.error is not None:
        report.error_kind = message.error if isinstance(message.error, str) else "unknown"
        text = "".join(block.text for block in message.content if isinstance(block, TextBlock))
        _add_request(report, None, report.error_kind, text)
    # The CLI's own messages, such as API errors, have this model name: no model wrote them.
    elif message.model != "<synthetic>" and message.parent_tool_use_id is None:
        name = name_of_model(message.model)
        report.model = name if report.relayed is None else report.relayed.answering_model(name)
        report.error_kind = None


def _add_request(report: Report, status: int | None, kind: str | None, message: str | None) -> None:
    """Record a failed request as the CLI reports it: without a request id, and with a shortened message."""
    kind = None if kind == "unknown" else kind
    cut = message[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode() if message else None
    report.shown.append(
        {"at": rfc3339(int(time.time() * 1000)), "status": status, "type": kind, "message": cut, "requestId": None}
    )
    # A tool can write to the CLI's output: it can report errors without end.
    del report.shown[:-MOST_REQUESTS]


def _note_retry(report: Report, data: dict[str, object]) -> None:
    """Record the API error from the CLI's announcement of its own retry."""
    status, kind = data.get("error_status"), data.get("error")
    _add_request(report, status if isinstance(status, int) else None, kind if isinstance(kind, str) else None, None)
