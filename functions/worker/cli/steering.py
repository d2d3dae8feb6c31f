"""Messages to a running job: given to its CLI, which passes them on to the model at the next step."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from claude_agent_sdk import AssistantMessage, SystemMessage
from claude_agent_sdk.types import Message as CliMessage

from functions.worker.cli.publisher import Publisher
from shared.api.steps import Step, as_json
from shared.store.jobs.steps import Message

Send = Callable[[AsyncIterator[dict[str, Any]]], Awaitable[None]]


# The CLI names at most 64 messages that a request contains; it is given fewer at once.
_MOST_GIVEN = 32


class Steering:
    """Takes the messages to a job, and knows which of them the model has received.

    A run may end only when it has passed on all its messages and closing them has found no other: then the store
    accepts none for this run.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._waiting: list[Message] = []
        self._given: dict[str, Message] = {}
        self._changed = asyncio.Event()
        self.received = 0
        publisher.pass_messages_to(self._add)

    def _add(self, messages: Sequence[Message]) -> None:
        """Take messages from the store, in their order."""
        self._waiting += messages
        self._changed.set()

    async def give(self, send: Send) -> None:
        """Give messages to the CLI as they come, until cancelled. The CLI must have its prompt already."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting and len(self._given) < _MOST_GIVEN:
                message = self._waiting.pop(0)
                self._given[message.message_id] = message
                await send(_as_input(message))

    def observe(self, message: CliMessage) -> None:
        """Note the messages that a request to the model contains."""
        match message:
            case SystemMessage(subtype="status", data={"user_message_uuids": list(ids)}):
                self._note_received(ids)
            case AssistantMessage(user_message_uuids=list(ids)):
                self._note_received(ids)
            case _:
                pass

    def _note_received(self, ids: list[Any]) -> None:
        for message_id in ids:
            message = self._given.pop(message_id, None) if isinstance(message_id, str) else None
            if message is not None:
                self.received += 1
                self._changed.set()
                step = Step.model_validate_json(message.step)
                took = int((time.time() - datetime.fromisoformat(step.started_at).timestamp()) * 1000)
                received = step.model_copy(update={"status": "completed", "duration_ms": max(took, 0)})
                self._publisher.add_step(message_id, as_json(received), is_new=False)

    async def may_end(self) -> bool:
        """Return whether the run may end with the answer that it has; if not, another answer follows."""
        if not self._waiting and not self._given:
            await self._publisher.close()
        return not self._waiting and not self._given


async def _as_input(message: Message) -> AsyncIterator[dict[str, Any]]:
    content = [{"type": "text", "text": message.text}]
    yield {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "uuid": message.message_id,
    }
