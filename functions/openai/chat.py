"""Translate requests of OpenAI's Chat Completions API into queries. Unsupported parameters are refused by name."""

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, ValidationError

from functions.openai.calls import UNSUPPORTED
from functions.openai.parameters import changes_nothing, flag, json_schema
from functions.openai.tools import take_tools
from functions.openai.turns import CHAT, joined, refuse_others, turns_of
from shared.api.compat_queries import CompatQuery
from shared.api.errors import InvalidRequest, RefusedParameter
from shared.api.models import Wire
from shared.api.vocabulary import Priority
from shared.http.compat import renamed
from shared.http.problems import invalid_request

# Our field → the parameter of OpenAI's API.
_PARAMETERS = {
    "systemPrompt": "messages",
    "outputSchema": "response_format/json_schema/schema",
    "maxOutputTokens": "max_completion_tokens",
    "effort": "reasoning_effort",
    "answerTool": "tools/0/function/name",
    "clientTools": "tools",
    "history": "messages",
}


class ChatRequest(Wire):
    """A body of OpenAI's API; `translate` checks its fields."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    messages: Any = None
    stream: Any = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A body as a query; `places` are the places of our fields that have no parameter of their own."""

    query: CompatQuery
    places: dict[str, str]
    stream: bool
    include_usage: bool

    def as_parameter(self, error: InvalidRequest) -> InvalidRequest:
        """Return an error of the query as the error of the parameter in OpenAI's API."""
        return renamed(error, _PARAMETERS | self.places)


def translate(body: ChatRequest, priority: Priority | None) -> Chat:
    """Translate a body; raises RefusedParameter, which names the parameter."""
    given = {name: value for name, value in body.model_dump().items() if value is not None}
    stream = flag(given, "stream", default=False)
    if flag(given, "store", default=False):
        raise RefusedParameter("store", "should be false; POST /v1/responses stores answers", "unsupported_value")
    usage = stream and _include_usage(given)
    turns = turns_of(given.pop("messages", None), "messages", CHAT)
    # Neither cached nor joined: the job is cancelled when its client leaves.
    fields: dict[str, Any] = {"cache": {"mode": "bypass"}, "live": True}
    if priority is not None:
        fields["priority"] = priority
    fields |= turns.conversation.fields()
    if turns.instructions:
        fields["systemPrompt"] = joined(*turns.instructions)
    fields |= take_tools(given, nested=True)
    for name, value in given.items():
        if not changes_nothing(name, value):
            fields |= _translate_field(name, value)
    try:
        return Chat(CompatQuery.model_validate(fields), turns.places, stream, usage)
    except ValidationError as error:
        raise renamed(invalid_request(error), _PARAMETERS | turns.places) from None


def _include_usage(given: dict[str, Any]) -> bool:
    options = given.get("stream_options")
    if not isinstance(options, dict):
        return False  # absent, or refused below
    return flag(options, "include_usage", default=False)


def _translate_field(name: str, value: Any) -> dict[str, Any]:
    match name, value:
        case "model" | "metadata", _:
            return {name: value}
        case "max_completion_tokens" | "max_tokens", _:
            return {"maxOutputTokens": value}
        case "reasoning_effort", _:
            return {"effort": value}
        case "response_format", {"type": "text", **rest}:
            refuse_others(rest, name)
            return {}
        case "response_format", {"type": "json_object", **rest}:
            refuse_others(rest, name)
            return {"outputSchema": {"type": "object"}}
        case "response_format", {"type": "json_schema", "json_schema": dict(given), **rest}:
            refuse_others(rest, name)
            return json_schema(given, "response_format.json_schema")
        case "response_format", _:
            raise RefusedParameter(f"{name}.type", "should be text, json_object or json_schema", "unsupported_value")
        case _:
            raise RefusedParameter(name, UNSUPPORTED)
