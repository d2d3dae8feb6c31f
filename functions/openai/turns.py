"""The turns of a request of OpenAI's API: those so far, the instructions among them, and the last turn."""

from typing import Any, NamedTuple

from shared.api.errors import RefusedParameter

UNSUPPORTED = "not supported; remove it"
_INSTRUCTIONS, _TURNS = {"system", "developer"}, {"user", "assistant"}
# Fields of a message or part that change no answer, such as those that an earlier answer had.
_IGNORED = {"id", "status", "annotations", "logprobs"}


class Turns(NamedTuple):
    """The text of the last turn and its place, the turns before it, and the texts of system messages among them."""

    query: str
    place: str
    history: list[dict[str, Any]]
    instructions: list[str]


def turns_of(items: Any, name: str, kinds: tuple[str, ...]) -> Turns:
    """Return the turns of a list of messages; `kinds` are the types that a text part may have.

    Raises RefusedParameter, which names the place of the error.
    """
    if not isinstance(items, list) or not items:
        raise RefusedParameter(name, "should be a list of at least one message", "invalid_value")
    found: list[tuple[str, list[str], str]] = []
    instructions: list[str] = []
    for number, item in enumerate(items):
        where = f"{name}[{number}]"
        role, texts = _message(item, where, kinds)
        if role in _INSTRUCTIONS:
            instructions += texts
        else:
            found.append((role, texts, where))
    if not found or found[-1][0] != "user":
        raise RefusedParameter(name, "should end with a user message", "invalid_value")
    *earlier, last = found
    return Turns("\n".join(last[1]), f"{last[2]}.content", [_turn(*turn) for turn in earlier], instructions)


def _message(item: Any, where: str, kinds: tuple[str, ...]) -> tuple[str, list[str]]:
    match item:
        case {"type": str(kind)} if kind != "message":
            raise RefusedParameter(f"{where}.type", f"{kind[:40]} is not supported; use message")
        case {"role": str(role), "content": content, **rest} if role in _INSTRUCTIONS | _TURNS:
            refuse_others({key: value for key, value in rest.items() if (key, value) != ("type", "message")}, where)
            return role, _texts(content, f"{where}.content", kinds)
        case {"role": str(role)} if role in _INSTRUCTIONS | _TURNS:
            raise RefusedParameter(f"{where}.content", "required", "missing_required_parameter")
        case {"role": str(role)}:
            raise RefusedParameter(f"{where}.role", f"{role[:40]} is not supported; use system, user or assistant")
        case _:
            raise RefusedParameter(where, "should be a message with a role", "invalid_value")


def _turn(role: str, texts: list[str], where: str) -> dict[str, Any]:
    if not texts or not all(text.strip() for text in texts):
        raise RefusedParameter(f"{where}.content", "should not be blank", "invalid_value")
    return {"role": role, "content": [{"type": "text", "text": text} for text in texts]}


def _texts(content: Any, where: str, kinds: tuple[str, ...]) -> list[str]:
    match content:
        case str():
            return [content]
        case list():
            return [_part(part, f"{where}[{number}]", kinds) for number, part in enumerate(content)]
        case _:
            raise RefusedParameter(where, "should be text", "invalid_value")


def _part(part: Any, where: str, kinds: tuple[str, ...]) -> str:
    match part:
        case {"type": str(kind), "text": str(text), **rest} if kind in kinds:
            refuse_others(rest, where)
            return text
        case {"type": str(kind)} if kind in kinds:
            raise RefusedParameter(f"{where}.text", "should be text", "invalid_value")
        case {"type": str(kind)}:
            raise RefusedParameter(f"{where}.type", f"{kind[:40]} is not supported; use {kinds[0]}")
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
