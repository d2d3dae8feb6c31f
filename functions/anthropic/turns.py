"""The messages of a request of Anthropic's API: the turns of the conversation, and the system messages among them."""

from typing import Any, NamedTuple

from functions.anthropic.attachments import attachment, is_attachment
from functions.anthropic.parameters import UNSUPPORTED, refused
from functions.anthropic.tool_blocks import is_tool_block, tool_block
from shared.api.turns import Block, Conversation, Turn, beside_calls, text

# Marks of the prompt cache, which change no answer.
_NO_EFFECT = {"cache_control"}


class Turns(NamedTuple):
    """The turns, and the texts of system messages among them.

    `effort` is the one that the last message with `output_config` asks for.
    """

    conversation: Conversation
    system: list[str]
    effort: Any = None


def turns_of(messages: Any, place: str) -> Turns:
    """Return the turns of a request; raises InvalidRequest, which names the place of the error."""
    if not isinstance(messages, list) or not messages:
        raise refused(place, "should be a list of at least one message")
    conversation = Conversation()
    system: list[str] = []
    effort = None
    for number, message in enumerate(messages):
        where = f"{place}.{number}"
        role, content, own = _message(message, where)
        effort = own or effort
        if role == "system":
            system += texts_of(content, f"{where}.content")
        else:
            conversation.turns.append(_turn(conversation, role, content, where))
    if not conversation.has_query:
        raise refused(place, "should end with a user message; an assistant message to continue is not supported")
    if wrong := conversation.unpaired():
        raise refused(*wrong)
    return Turns(conversation, system, effort)


def _message(message: Any, where: str) -> tuple[str, Any, Any]:
    """Return role, content and effort of a message."""
    match message:
        case {"role": "user" | "assistant" | "system" as role, "content": content, **rest}:
            config = rest.pop("output_config", None) or {}
            if not isinstance(config, dict) or config.keys() - {"effort"}:
                raise refused(f"{where}.output_config", "should have effort alone")
            for name in rest:
                raise refused(f"{where}.{str(name)[:60]}", UNSUPPORTED)
            return role, content, config.get("effort")
        case {"role": "user" | "assistant" | "system"}:
            raise refused(f"{where}.content", "required")
        case dict():
            raise refused(f"{where}.role", "should be user, assistant or system")
        case _:
            raise refused(where, "should be an object")


def _turn(conversation: Conversation, role: str, content: Any, place: str) -> Turn:
    where = f"{place}.content"
    blocks: list[Block] = []
    for number, part in enumerate(content if isinstance(content, list) else ()):
        inside = f"{where}.{number}"
        if role == "user" and is_attachment(part):
            blocks.append(conversation.attach(attachment(part, inside), f"{inside}.source"))
        elif is_tool_block(part, role):
            blocks.append(tool_block(part, inside))
        else:
            blocks.append(text(_text(part, inside)))
    if not isinstance(content, list):
        blocks = [text(words) for words in texts_of(content, where)]
    turn = Turn(role, beside_calls(blocks), place)
    if turn.is_blank:
        raise refused(where, "should not be blank")
    return turn


def texts_of(content: Any, place: str) -> list[str]:
    """Return the texts of a content; raises InvalidRequest for anything but text."""
    match content:
        case str():
            return [content]
        case list():
            return [_text(part, f"{place}.{number}") for number, part in enumerate(content)]
        case _:
            raise refused(place, "should be text")


def _text(part: Any, place: str) -> str:
    match part:
        case {"type": "text", "text": str(words), **rest}:
            for name, value in rest.items():
                if value is not None and name not in _NO_EFFECT:
                    raise refused(f"{place}.{str(name)[:60]}", UNSUPPORTED)
            return words
        case {"type": "text"}:
            raise refused(f"{place}.text", "should be text")
        case {"type": str(kind)}:
            raise refused(place, f"{kind[:40]} is not supported here; use text")
        case _:
            raise refused(place, "should be a text block")
