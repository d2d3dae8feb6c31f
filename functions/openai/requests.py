"""Translate requests of OpenAI's Responses API into queries. Unsupported parameters are refused by name."""

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, ValidationError

from functions.openai.calls import UNSUPPORTED
from functions.openai.parameters import changes_nothing, flag, json_schema
from functions.openai.tools import take_tools
from functions.openai.turns import RESPONSE, joined, refuse_others, turns_of
from shared.api.compat_queries import ResponseQuery
from shared.api.errors import InvalidRequest, RefusedParameter
from shared.api.models import Wire
from shared.api.turns import TOOL_BLOCKS
from shared.api.vocabulary import Priority
from shared.http.compat import renamed
from shared.http.problems import invalid_request

PREFIX = "resp_"
# Our field → the parameter of OpenAI's API.
_PARAMETERS = {
    "systemPrompt": "instructions",
    "outputSchema": "text/format/schema",
    "maxOutputTokens": "max_output_tokens",
    "effort": "reasoning/effort",
    "clientTools": "tools",
    "history": "input",
}


class ResponseRequest(Wire):
    """A body of OpenAI's API; `translate` checks its fields."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    background: Any = None
    input: Any = None
    stream: Any = None


@dataclass(frozen=True, slots=True)
class Translated:
    """A body as a query; `previous` is the response that it continues.

    `places` are the places in the body of our fields that have no parameter of their own.
    """

    query: ResponseQuery
    previous: str | None
    stream: bool
    places: dict[str, str]

    def as_parameter(self, error: InvalidRequest) -> InvalidRequest:
        """Return an error of the query as the error of the parameter in OpenAI's API."""
        return renamed(error, _PARAMETERS | self.places)


def translate(body: ResponseRequest, priority: Priority | None, earlier: str | None = None) -> Translated:
    """Translate a body; raises RefusedParameter, which names the parameter.

    `earlier` is the job of the response whose items the body begins with.
    The default priority is high if the client waits for the answer, otherwise normal.
    """
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    background, stream, store = (
        flag(given, name, default=default)
        for name, default in (("background", False), ("stream", False), ("store", True))
    )
    previous = given.pop("previous_response_id", None)
    if previous is not None and not isinstance(previous, str):
        raise RefusedParameter("previous_response_id", "should be a string", "invalid_value")
    if previous is not None and not store:
        raise RefusedParameter("store", "should be true with previous_response_id", "unsupported_value")
    # A response is read by its own id, and a cached answer would have the id of an older job. A response whose client
    # waits is not joined either, because it is cancelled when the client leaves.
    fields: dict[str, Any] = {"session": store, "cache": {"mode": "refresh"}}
    if not background:
        fields |= {"live": True, "cache": {"mode": "bypass"}}
    if priority is not None:
        fields["priority"] = priority
    places = _input(given, fields, continues=previous is not None)
    fields |= _tools(given, fields, earlier, continues=previous is not None)
    for name, value in given.items():
        if not changes_nothing(name, value):
            fields |= _translate_field(name, value)
    try:
        return Translated(ResponseQuery.model_validate(fields), previous, stream, places)
    except ValidationError as error:
        raise renamed(invalid_request(error), _PARAMETERS | places) from None


def _input(given: dict[str, Any], fields: dict[str, Any], *, continues: bool) -> dict[str, str]:
    """Translate `input` and `instructions`; return the places of query and attachments.

    The input of a response that continues another one has no earlier turns.
    """
    found = given.pop("input", None)
    instructions = given.pop("instructions", None)
    if not isinstance(instructions, str | None):
        raise RefusedParameter("instructions", "should be text", "invalid_value")
    places = {"query": "input"}
    if found is None:
        raise RefusedParameter("input", "required", "missing_required_parameter")
    if isinstance(found, str):
        fields["query"] = found
    else:
        turns = turns_of(found, "input", RESPONSE)
        if continues and turns.conversation.has_earlier_turns:
            raise RefusedParameter(
                "input", "should have one user message with previous_response_id", "unsupported_value"
            )
        fields |= turns.conversation.fields()
        instructions = joined(instructions, *turns.instructions) or None
        places = turns.places
    if instructions is not None:
        fields["systemPrompt"] = instructions
    return places


def _tools(given: dict[str, Any], fields: dict[str, Any], earlier: str | None, *, continues: bool) -> dict[str, Any]:
    """Translate tools; a response with calls or results keeps its items in its request, and no session."""
    tools = take_tools(given, nested=False)
    has_blocks = any(block["type"] in TOOL_BLOCKS for turn in fields.get("history", ()) for block in turn["content"])
    if continues and (tools or has_blocks):
        raise RefusedParameter(
            "previous_response_id",
            "not supported with functions after a response without; send all items as input",
            "unsupported_value",
        )
    if not (tools or has_blocks or earlier):
        return {}
    return {**tools, "session": False, "itemChain": {"from": earlier} if fields["session"] else None}


def _translate_field(name: str, value: Any) -> dict[str, Any]:
    match name, value:
        case "model" | "metadata", _:
            return {name: value}
        case "max_output_tokens", _:
            return {"maxOutputTokens": value}
        case "text", dict():
            return _text(value)
        case "reasoning", dict():
            refuse_others({part: given for part, given in value.items() if part != "effort"}, "reasoning")
            return {"effort": value.get("effort")}
        case _:
            raise RefusedParameter(name, UNSUPPORTED)


def _text(text: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in text.items() if name != "format" and not changes_nothing(name, value)}
    refuse_others(rest, "text")
    match text.get("format"):
        case None:
            return {}
        case {"type": "text", **given}:
            refuse_others(given, "text.format")
            return {}
        case {"type": "json_object", **given}:
            refuse_others(given, "text.format")
            return {"outputSchema": {"type": "object"}}
        case {"type": "json_schema", **given}:
            return json_schema(given, "text.format")
        case {"type": _}:
            raise RefusedParameter(
                "text.format.type", "should be text, json_object or json_schema", "unsupported_value"
            )
        case _:
            raise RefusedParameter("text.format", "should be an object with a type")
