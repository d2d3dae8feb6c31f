"""One run of the CLI: started, asked once, heard to the end, and ended with all that it started."""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    CLIJSONDecodeError,
    ResultMessage,
    StreamEvent,
)

from functions.worker.options import options_for
from functions.worker.outcome import Report
from functions.worker.processes import end_descendants
from functions.worker.workspace import Workspace
from shared.logs import event
from shared.settings import WorkerSettings

log = logging.getLogger("worker.claude")

# A CLI that has answered ends by itself within this; one that is stopped gets as long to stop its own children.
GRACE = 1.0


async def run(request: dict[str, Any], settings: WorkerSettings, on_text: Callable[[str], None]) -> Report:
    """Run one request to its end and report what was seen.

    Cancelling is the caller's way to stop a run; whichever way it ends, no process of it is alive and its
    directories are gone when this returns or raises.
    """
    workspace = await asyncio.to_thread(Workspace.create)
    client = ClaudeSDKClient(options_for(request, settings, workspace))
    report = Report()
    conversation = asyncio.create_task(_converse(client, request, report, settings.max_output_bytes, on_text))
    try:
        # Shielded: when it is stopped its processes go first, for the SDK's own way to close is to wait for them.
        await asyncio.shield(conversation)
    finally:
        # To the end even if cancelled meanwhile: what is not ended here is ended by nobody.
        await _unhurried(_clear_up(client, conversation, workspace))
    return report


async def _converse(
    client: ClaudeSDKClient,
    request: dict[str, Any],
    report: Report,
    max_output_bytes: int,
    on_text: Callable[[str], None],
) -> None:
    try:
        await client.connect()
        await client.query(_prompt(request))
        await _hear(client, report, max_output_bytes, on_text)
        await _let_go(client)
    except CLIJSONDecodeError as error:
        report.failure = "output_too_large" if "maximum buffer size" in str(error) else "cli_crashed"
    except Exception as error:  # noqa: BLE001 -- what comes out of a broken CLI breaks the SDK in any way it likes
        # An envelope that came before is still the truth; without one the CLI crashed.
        event(log, "cli_failed", logging.WARNING, error=type(error).__name__)
    finally:
        await end_descendants(waited_for=_pid(client), grace=GRACE)
        process = _process(client)
        with suppress(Exception):  # it only closes its streams now
            await client.disconnect()
        if process is not None:
            # The SDK leaves its end of a pipe open that still holds what nobody read.
            with suppress(Exception):
                await process.aclose()


async def _hear(client: ClaudeSDKClient, report: Report, max_output_bytes: int, on_text: Callable[[str], None]) -> None:
    async for message in client.receive_messages():
        match message:
            case StreamEvent(event={"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}):
                report.text_bytes += len(text.encode("utf-8", "surrogatepass"))
                on_text(text)
            case AssistantMessage():
                _note(report, message)
            case ResultMessage():
                report.envelope = message
                return
            case _:
                pass
        if report.text_bytes > max_output_bytes:
            report.failure = "output_too_large"
            return


def _note(report: Report, message: AssistantMessage) -> None:
    if message.error is not None:
        report.error_kind = message.error
    # The CLI writes its own words, such as an API error's, under this name: no model spoke.
    elif message.model != "<synthetic>" and message.parent_tool_use_id is None:
        report.model, report.error_kind = message.model, None


async def _prompt(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Give the query in a block of its own, and the context, if any, in one before it.

    The blocks cannot be confused: the model is told under a name that no client can foresee which one is data.
    """
    content = [{"type": "text", "text": request["query"]}]
    if (context := request.get("context")) is not None:
        name = f"context-{secrets.token_hex(8)}"
        data = json.dumps(context, ensure_ascii=False, indent=1)
        told = f"Data that the application supplies for the message that follows:\n<{name}>\n{data}\n</{name}>"
        content.insert(0, {"type": "text", "text": told})
    yield {"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": None}


async def _let_go(client: ClaudeSDKClient) -> None:
    """Let a CLI that has answered go by itself, at the end of its input."""
    process = _process(client)
    if process is not None:
        await client._transport.end_input()  # type: ignore[union-attr]  # noqa: SLF001
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()


async def _clear_up(client: ClaudeSDKClient, conversation: "asyncio.Task[None]", workspace: Workspace) -> None:
    if not conversation.done():
        await end_descendants(waited_for=_pid(client), grace=GRACE)
        # It ends as after a crash; one that had not started anything yet is told to end.
        if not (await asyncio.wait({conversation}, timeout=GRACE))[0]:
            conversation.cancel()
            await asyncio.wait({conversation})
        await end_descendants(waited_for=None, grace=GRACE)
    await asyncio.to_thread(workspace.remove)


def _process(client: ClaudeSDKClient) -> Any:
    """Return the CLI's process, which the SDK keeps to itself; None while there is none."""
    return getattr(getattr(client, "_transport", None), "_process", None)


def _pid(client: ClaudeSDKClient) -> int | None:
    process = _process(client)
    return None if process is None else process.pid


async def _unhurried(work: Any) -> None:
    """Await something to its end, and let a cancellation that comes meanwhile wait for it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
