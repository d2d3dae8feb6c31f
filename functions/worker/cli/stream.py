"""What is heard from a CLI that was asked: every message, until its envelope or a reason to stop listening."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

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
from functions.worker.cli.mcp_servers import Expected
from functions.worker.cli.structured_input import StructuredInput
from functions.worker.jobs.outcome import Report
from shared.api.times import rfc3339
from shared.configuration.settings import WorkerSettings

# Characters that are kept of what the CLI says of a failure.
_MOST_SAID = 300
# Why a model stopped before it had said all.
_CUT = {"max_tokens", "model_context_window_exceeded"}


async def hear(
    messages: AsyncIterator[Message],
    report: Report,
    settings: WorkerSettings,
    on_text: Callable[[str], None],
    servers: Expected,
) -> None:
    """Fill the report from the messages; stops early at too much text or silence.

    Silence is bounded while the model is to speak: from a request to its first token and between two tokens, not while
    a tool works. A relay bounds it itself, where it sees each request.
    """
    longest = None if report.relayed is not None else settings.claude_silence_timeout / 1000
    answer, given = AnswerText(), StructuredInput()
    try:
        async with asyncio.timeout(longest) as silence:
            bound = _Silence(silence, longest)
            async for message in messages:
                if _is_over(message, report, servers):
                    return
                if text := answer.look(message):
                    report.text_bytes += len(text.encode("utf-8", "surrogatepass"))
                    on_text(text)
                report.text = answer.text
                given.look(message)
                if _is_last(message, report, given) or _is_too_large(report, settings.max_output_bytes):
                    return
                bound.look(message)
    except TimeoutError:
        report.failure = "server_error"


class _Silence:
    """The bound on silence of a CLI without a relay: it runs while the model is to speak."""

    def __init__(self, timeout: asyncio.Timeout, longest: float | None) -> None:
        self._timeout, self._longest = timeout, longest

    def look(self, message: Message) -> None:
        """Follow who is to speak next."""
        match message:
            case StreamEvent(event={"type": "message_stop"}):
                self._timeout.reschedule(None)  # a tool works for as long as it takes
            case StreamEvent() | UserMessage():
                self._start()
            case SystemMessage(subtype="api_retry", data={"retry_delay_ms": int(delay) | float(delay)}):
                self._start(delay / 1000)
            case _:
                pass

    def _start(self, more: float = 0) -> None:
        if self._longest is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._longest + more)


def _is_over(message: Message, report: Report, servers: Expected) -> bool:
    """Follow servers and usage; return whether a server that the job cannot do without is not there."""
    servers.look(message)
    report.absent, report.truncated = servers.absent, servers.truncated
    if servers.required_is_absent:
        report.failure = "mcp_unavailable"
    elif report.meter is not None:
        report.meter.look(message)
    return servers.required_is_absent


def _is_too_large(report: Report, most: int) -> bool:
    if report.text_bytes > most:
        report.failure = "output_too_large"
    return report.text_bytes > most


def _is_last(message: Message, report: Report, given: StructuredInput) -> bool:
    """Take down what a message tells; return whether nothing of interest can follow."""
    match message:
        case StreamEvent(
            event={"type": "message_delta", "delta": {"stop_reason": str(reason)}}, parent_tool_use_id=None
        ) if reason in _CUT:
            # The CLI would let the model go on, and give its last message back as if it were the whole answer.
            report.failure = "output_too_large"
            return True
        case AssistantMessage():
            _note(report, message)
        case RateLimitEvent(rate_limit_info=RateLimitInfo(status="rejected", resets_at=int(resets_at))):
            report.retry_after = max(1, int((resets_at - time.time()) * 1000))
        case SystemMessage(subtype="api_retry", data=data):
            # A cloud provider's own, which no relay stands before.
            _note_retry(report, data)
        case SystemMessage(subtype="mirror_error"):
            # What was said could not be kept: the conversation would go on without it.
            report.failure = "server_error"
            return True
        case ResultMessage():
            report.envelope = message
            if report.shown and report.shown[-1]["status"] is None:
                report.shown[-1]["status"] = message.api_error_status
            report.structured_input = given.exact(message.structured_output)
            return True
        case _:
            pass
    return False


def _note(report: Report, message: AssistantMessage) -> None:
    if message.error is not None:
        report.error_kind = message.error
        said = "".join(block.text for block in message.content if isinstance(block, TextBlock))
        _add_request(report, None, message.error, said)
    # The CLI writes its own words, such as an API error's, under this name: no model spoke.
    elif message.model != "<synthetic>" and message.parent_tool_use_id is None:
        report.model, report.error_kind = message.model, None


def _add_request(report: Report, status: int | None, kind: str | None, message: str | None) -> None:
    """Keep what the CLI shows of a request that failed. It names no request id, and shortens the message."""
    kind = None if kind == "unknown" else kind
    cut = message[:_MOST_SAID].encode("utf-8", "replace").decode() if message else None
    report.shown.append(
        {"at": rfc3339(int(time.time() * 1000)), "status": status, "type": kind, "message": cut, "requestId": None}
    )


def _note_retry(report: Report, data: dict[str, object]) -> None:
    """Take the API's error from the announcement of the CLI's own retry."""
    status, kind = data.get("error_status"), data.get("error")
    _add_request(report, status if isinstance(status, int) else None, kind if isinstance(kind, str) else None, None)
