"""The text of an answer: all text blocks of the last message of the run that has any."""

from typing import Any

from claude_agent_sdk import AssistantMessage, StreamEvent, TextBlock
from claude_agent_sdk.types import Message


class AnswerText:
    """Collects the text of each message of the run itself, subagents excluded.

    The CLI's envelope holds the last text block alone, and nothing when a message ends with thinking. A message
    without text, or with white space alone, leaves the text of the one before: a model that had said everything beside
    its last tool call often ends with an empty message.
    """

    def __init__(self) -> None:
        self.text = ""
        self._message_id: str | None = None
        self._of_message = ""

    def look(self, message: Message) -> str:
        """Take the text from one message of the CLI; return what is new when it was streamed, else ``""``."""
        match message:
            case StreamEvent(event=event, parent_tool_use_id=None):
                return self._take_event(event)
            case AssistantMessage(parent_tool_use_id=None) if message.model != "<synthetic>" and not message.error:
                self._take_whole(message)
            case _:
                pass
        return ""

    def _take_event(self, event: dict[str, Any]) -> str:
        match event:
            case {"type": "message_start", "message": {"id": str(message_id)}}:
                self._message_id, self._of_message = message_id, ""
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                self._add(text)
                return text
            case _:
                pass
        return ""

    def _take_whole(self, message: AssistantMessage) -> None:
        """Take a message that was not streamed, as when the CLI falls back to a request without streaming.

        A streamed message is ignored here: it has been collected already, white space included, which these leave out.
        """
        if message.message_id == self._message_id:
            return
        self._of_message = ""
        for block in message.content:
            if isinstance(block, TextBlock):
                self._add(block.text)

    def _add(self, text: str) -> None:
        self._of_message += text
        if self._of_message and not self._of_message.isspace():
            self.text = self._of_message
