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

# The CLI's own pause before its first retry is at most so many ms; a longer one is what the API asked for.
_OWN_PAUSE = 1000
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
    """Fill the report from the messages; stops early at too much text, silence, or an error of the API.

    Silence is bounded while the model is to speak: from a request to its first token and between two tokens, not while
    a tool works.
    """
    longest = settings.claude_silence_timeout / 1000
    answer, given = AnswerText(), StructuredInput()
    try:
        async with asyncio.timeout(longest) as silence:
            async for message in messages:
                servers.look(message)
                report.absent, report.truncated = servers.absent, servers.truncated
                if servers.required_is_absent:
                    report.failure = "mcp_unavailable"
                    return
                if report.meter is not None:
                    report.meter.look(message)
                if text := answer.look(message):
                    report.text_bytes += len(text.encode("utf-8", "surrogatepass"))
                    on_text(text)
                report.text = answer.text
                given.look(message)
                if _is_last(message, report, given):
                    return
                if report.text_bytes > settings.max_output_bytes:
                    report.failure = "output_too_large"
                    return
                match message:
                    case StreamEvent(event={"type": "message_stop"}):
                        silence.reschedule(None)
                    case StreamEvent() | UserMessage():
                        silence.reschedule(asyncio.get_running_loop().time() + longest)
                    case _:
                        pass
    except TimeoutError:
        report.failure = "server_error"


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
            _give_up(report, data)
            return True
        case SystemMessage(subtype="mirror_error"):
            # What was said could not be kept: the conversation would go on without it.
            report.failure = "server_error"
            return True
        case ResultMessage():
            report.envelope = message
            if report.requests and report.requests[-1]["status"] is None:
                report.requests[-1]["status"] = message.api_error_status
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
    report.requests.append({"at": rfc3339(int(time.time() * 1000)), "status": status, "type": kind, "message": cut})


def _give_up(report: Report, data: dict[str, object]) -> None:
    """Take the API's error from the announcement of the CLI's own retry."""
    report.gave_up = True
    match data:
        case {"error": str(kind)}:
            report.error_kind = kind
        case _:
            report.error_kind = None
    match data:
        case {"error_status": int(status)}:
            report.error_status = status
        case _:
            pass
    match data:
        case {"retry_delay_ms": int(delay) | float(delay)} if delay > _OWN_PAUSE:
            report.retry_after = int(delay)
        case _:
            pass
    _add_request(report, report.error_status, report.error_kind, None)
