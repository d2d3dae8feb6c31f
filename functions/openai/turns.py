"""The messages of a request of OpenAI's APIs: the turns of the conversation, and the instructions among them."""

from typing import Any, NamedTuple

from functions.openai.attachments import CHAT_PARTS, RESPONSE_PARTS, attachment, is_attachment
from functions.openai.calls import UNSUPPORTED, taken_calls, turn_of
from shared.api.errors import RefusedParameter
from shared.api.turns import Block, Conversation, Turn, beside_calls, text

_INSTRUCTIONS, _TURNS = {"system", "developer"}, {"user", "assistant"}
# Fields of a message or part that change no answer, such as those that an earlier answer had.
_IGNORED = {"id", "status", "annotations", "logprobs", "parsed"}


class Kinds(NamedTuple):
    """The types that the parts of a message may have in one API."""

    texts: tuple[str, ...]
    attachments: dict[str, str]


CHAT = Kinds(("text",), CHAT_PARTS)
RESPONSE = Kinds(("input_text", "output_text"), RESPONSE_PARTS)


class Turns(NamedTuple):
    """The turns, and the texts of system and developer messages among them."""

    conversation: Conversation
    instructions: list[str]

    @property
    def places(self) -> dict[str, str]:
        """The places in the body of the query and of the attachments, by the names of our fields."""
        places = {f"attachments/{number}": place for number, place in enumerate(self.conversation.places)}
        return {"query": f"{self.conversation.turns[-1].place}.content", **places}


def turns_of(items: Any, name: str, kinds: Kinds) -> Turns:
    """Return the turns of a list of messages; raises RefusedParameter, which names the place of the error."""
    if not isinstance(items, list) or not items:
        raise RefusedParameter(name, "should be a list of at least one message", "invalid_value")
    conversation = Conversation()
    instructions: list[str] = []
    for number, item in enumerate(items):
        where = f"{name}[{number}]"
        if isinstance(item, dict) and item.get("type") == "mcp_call" and kinds is RESPONSE:
            continue  # of an earlier response: the gateway has made the call, and the model has written what it found
        if turn := turn_of(item, where):
            conversation.turns.append(turn)
            continue
        message, calls = taken_calls(item, where)
        if calls and not message.get("content"):
            conversation.turns.append(Turn("assistant", calls, where))
            continue
        role, content = _message(message, where)
        if role in _INSTRUCTIONS:
            instructions += [block["text"] for block in _blocks(None, content, f"{where}.content", kinds)]
            continue
        blocks = _blocks(conversation if role == "user" else None, content, f"{where}.content", kinds)
        turn = Turn(role, beside_calls([*blocks, *calls]), where)
        if turn.is_blank:
            raise RefusedParameter(f"{where}.content", "should not be blank", "invalid_value")
        conversation.turns.append(turn)
    if not conversation.has_query:
        raise RefusedParameter(name, "should end with a user message", "invalid_value")
    if wrong := conversation.unpaired():
        raise RefusedParameter(*wrong, "invalid_value")
    return Turns(conversation, instructions)


def _message(item: Any, where: str) -> tuple[str, Any]:
    match item:
        case {"type": str(kind)} if kind != "message":
            raise RefusedParameter(f"{where}.type", f"{kind[:40]} is not supported; use message")
        case {"role": str(role), "content": content, **rest} if role in _INSTRUCTIONS | _TURNS:
            refuse_others({key: value for key, value in rest.items() if (key, value) != ("type", "message")}, where)
            return role, content
        case {"role": str(role)} if role in _INSTRUCTIONS | _TURNS:
            raise RefusedParameter(f"{where}.content", "required", "missing_required_parameter")
        case {"role": str(role)}:
            raise RefusedParameter(f"{where}.role", f"{role[:40]} is not supported; use system, user or assistant")
        case _:
            raise RefusedParameter(where, "should be a message with a role", "invalid_value")


def _blocks(conversation: Conversation | None, content: Any, where: str, kinds: Kinds) -> list[Block]:
    """Return the blocks of a content, which has attachments only with a conversation that takes them."""
    if isinstance(content, str):
        return [text(content)]
    if not isinstance(content, list):
        raise RefusedParameter(where, "should be text", "invalid_value")
    blocks: list[Block] = []
    for number, part in enumerate(content):
        inside = f"{where}[{number}]"
        if conversation is not None and is_attachment(part, kinds.attachments):
            blocks.append(conversation.attach(*attachment(part, inside, kinds.attachments)))
        else:
            blocks.append(text(_text(part, inside, kinds.texts)))
    return blocks


def _text(part: Any, where: str, kinds: tuple[str, ...]) -> str:
    match part:
        case {"type": str(kind), "text": str(words), **rest} if kind in kinds:
            refuse_others(rest, where)
            return words
        case {"type": str(kind)} if kind in kinds:
            raise RefusedParameter(f"{where}.text", "should be text", "invalid_value")
        case {"type": str(kind)}:
            raise RefusedParameter(f"{where}.type", f"{kind[:40]} is not supported here; use {kinds[0]}")
        case _:
            raise RefusedParameter(where, f"should be a part of the type {kinds[0]}", "invalid_value")


def refuse_others(rest: dict[Any, Any], where: str) -> None:
    """Raise RefusedParameter for any remaining field that has a value and may change the answer."""
    for name, value in rest.items():
        if name not in _IGNORED and value is not None and value not in ([], {}):
            raise RefusedParameter(f"{where}.{str(name)[:60]}", UNSUPPORTED)


def joined(*texts: str | None) -> str:
    """Join instructions."""
    return "\n\n".join(text for text in texts if text)
