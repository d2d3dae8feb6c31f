"""The text of an answer: all text blocks of the last message of the run that has any."""

from typing import Any

from claude_agent_sdk import AssistantMessage, StreamEvent, TextBlock
from claude_agent_sdk.types import Message


class AnswerText:
    """Collects the text of each message of the run itself, subagents excluded.

    The CLI's envelope holds only the last text block, and no text when a message ends with thinking. A message without
    text, or with white space only, keeps the text of the previous message: a model that wrote its whole answer beside
    its last tool call often ends with an empty message.
    """

    def __init__(self) -> None:
        self.text = ""
        self._message_id: str | None = None
        self._message_text = ""

    def observe(self, message: Message) -> str:
        """Collect the text of one message of the CLI. Return the new text of a streamed event, else ``""``."""
        match message:
            case StreamEvent(event=event, parent_tool_use_id=None):
                return self._add_event(event)
            case AssistantMessage(parent_tool_use_id=None) if message.model != "<synthetic>" and not message.error:
                self._add_whole(message)
            case _:
                pass
        return ""

    def _add_event(self, event: dict[str, Any]) -> str:
        match event:
            case {"type": "message_start", "message": {"id": str(message_id)}}:
                self._message_id, self._message_text = message_id, ""
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                self._add(text)
                return text
            case _:
                pass
        return ""

    def _add_whole(self, message: AssistantMessage) -> None:
        """Add a message that was not streamed, as when the CLI falls back to a request without streaming.

        Ignore a streamed message: its text is collected already, with the white space that whole messages omit.
        """
        if message.message_id == self._message_id:
            return
        self._message_text = ""
        for block in message.content:
            if isinstance(block, TextBlock):
                self._add(block.text)

    def _add(self, text: str) -> None:
        self._message_text += text
        if self._message_text and not self._message_text.isspace():
            self.text = self._message_text
