"""The messages of a request of Anthropic's API: the turns so far, the system messages, and the last turn."""

from typing import Any, NamedTuple

from shared.api.errors import FieldError, InvalidRequest

UNSUPPORTED = "not supported; remove it"
# Marks of the prompt cache, which change no answer.
_NO_EFFECT = {"cache_control"}


class Turns(NamedTuple):
    """The text of the last turn, the turns before it, and the texts of system messages among them.

    `effort` is the one that the last message with `output_config` asks for.
    """

    query: str
    history: list[dict[str, Any]]
    system: list[str]
    effort: Any = None


def turns_of(messages: Any, place: str) -> Turns:
    """Return the turns of a request; raises InvalidRequest, which names the place of the error."""
    if not isinstance(messages, list) or not messages:
        raise refused(place, "should be a list of at least one message")
    found: list[tuple[str, list[str], str]] = []
    system: list[str] = []
    effort = None
    for number, message in enumerate(messages):
        where = f"{place}.{number}"
        role, texts, own = _message(message, where)
        effort = own or effort
        if role == "system":
            system += texts
        else:
            found.append((role, texts, where))
    if not found or found[-1][0] != "user":
        raise refused(place, "should end with a user message; an assistant message to continue is not supported")
    *earlier, last = found
    return Turns("\n".join(last[1]), [_turn(*turn) for turn in earlier], system, effort)


def _message(message: Any, where: str) -> tuple[str, list[str], Any]:
    """Return role, texts and effort of a message."""
    match message:
        case {"role": "user" | "assistant" | "system" as role, "content": content, **rest}:
            config = rest.pop("output_config", None) or {}
            if not isinstance(config, dict) or config.keys() - {"effort"}:
                raise refused(f"{where}.output_config", "should have effort alone")
            for name in rest:
                raise refused(f"{where}.{str(name)[:60]}", UNSUPPORTED)
            return role, texts_of(content, f"{where}.content"), config.get("effort")
        case {"role": "user" | "assistant" | "system"}:
            raise refused(f"{where}.content", "required")
        case dict():
            raise refused(f"{where}.role", "should be user, assistant or system")
        case _:
            raise refused(where, "should be an object")


def _turn(role: str, texts: list[str], place: str) -> dict[str, Any]:
    if not texts or not all(text.strip() for text in texts):
        raise refused(f"{place}.content", "should not be blank")
    return {"role": role, "content": [{"type": "text", "text": text} for text in texts]}


def texts_of(content: Any, place: str) -> list[str]:
    """Return the texts of a content; raises InvalidRequest for anything but text."""
    match content:
        case str():
            return [content]
        case list():
            return [_part(part, f"{place}.{number}") for number, part in enumerate(content)]
        case _:
            raise refused(place, "should be text")


def _part(part: Any, place: str) -> str:
    match part:
        case {"type": "text", "text": str(text), **rest}:
            for name, value in rest.items():
                if value is not None and name not in _NO_EFFECT:
                    raise refused(f"{place}.{str(name)[:60]}", UNSUPPORTED)
            return text
        case {"type": "text"}:
            raise refused(f"{place}.text", "should be text")
        case {"type": str(kind)}:
            raise refused(place, f"{kind[:40]} is not supported; use text")
        case _:
            raise refused(place, "should be a text block")


def refused(place: str, why: str) -> InvalidRequest:
    """Return the error of one parameter, named by its place in the body."""
    pointer = "/" + place.replace(".", "/")
    return InvalidRequest(f"{place}: {why}", errors=(FieldError(pointer, why),))
