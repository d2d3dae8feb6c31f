"""Translate requests of Anthropic's API into queries. Unsupported parameters are refused by name."""

from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from functions.anthropic.attachments import place_of
from functions.anthropic.parameters import UNSUPPORTED, refused
from functions.anthropic.tools import tools_of
from functions.anthropic.turns import texts_of, turns_of
from shared.api.batch_requests import MOST_QUERIES
from shared.api.compat_queries import CompatQuery
from shared.api.errors import FieldError, InvalidRequest, RefusedThread
from shared.api.models import Wire
from shared.api.vocabulary import Priority
from shared.http.problems import invalid_request
from shared.services.batches import error_at

_SAME = {"model": "model", "max_tokens": "maxOutputTokens"}
# Values that change nothing, accepted because some programs always send them.
_NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "stop_sequences": ([],),
    "tools": ([],),
    "tool_choice": ({"type": "auto"}, {"type": "none"}),
    "service_tier": ("auto", "standard_only"),
    "speed": ("standard",),
}
_TOOLS = {"tools", "tool_choice"}
# Parameters that change nothing, whatever their value: where a prompt is cached, and who asks.
_IGNORED = {"cache_control", "user_profile_id"}
# Our field → its place in `params` of Anthropic's API.
_PLACES = {
    "maxOutputTokens": "max_tokens",
    "systemPrompt": "system",
    "effort": "output_config/effort",
    "outputSchema": "output_config/format/schema",
    "answerTool": "tools/0/name",
    "clientTools": "tools",
    "history": "messages",
}


class MessageBatchRequest(Wire):
    """A body of Anthropic's API; `queries_of` checks each of its requests."""

    model_config = ConfigDict(extra="forbid", alias_generator=None)

    requests: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_QUERIES)


class MessageRequest(Wire):
    """A body of Anthropic's API; `query_of` checks its fields."""

    model_config = ConfigDict(extra="allow", alias_generator=None)

    messages: Any = None
    stream: Any = None


def query_of(body: MessageRequest, priority: Priority | None) -> tuple[CompatQuery, bool]:
    """Translate a message request; return the query, and whether the answer is streamed."""
    params = body.model_dump()
    stream = params.pop("stream")
    if not isinstance(stream, bool | None):
        raise refused("stream", "should be true or false")
    # Neither cached nor joined: the job is cancelled when its client leaves.
    fields = {"cache": {"mode": "bypass"}, "live": True, **_fields(params, "")}
    if priority is not None:
        fields["priority"] = priority
    try:
        return CompatQuery.model_validate(fields), bool(stream)
    except ValidationError as error:
        raise as_parameter(invalid_request(error), params) from None


def queries_of(requests: list[dict[str, Any]]) -> list[CompatQuery]:
    """Translate all requests; raises InvalidRequest, which names the first invalid one as Anthropic's API does."""
    queries, names = [], set()
    for number, one in enumerate(requests):
        place = f"requests.{number}"
        name = one.get("custom_id")
        if not isinstance(name, str) or name in names:
            raise refused(f"{place}.custom_id", "should be a string that is unique in the batch")
        names.add(name)
        if unknown := sorted(set(one) - {"custom_id", "params"}):
            raise refused(f"{place}.{unknown[0][:60]}", "unknown field")
        params = one.get("params")
        if not isinstance(params, dict):
            raise refused(f"{place}.params", "should be an object")
        fields = {"customId": name, **_fields(params, f"{place}.params.")}
        try:
            queries.append(CompatQuery.model_validate(fields))
        except ValidationError as error:
            raise as_parameter(error_at(invalid_request(error), f"{place}.params"), params) from None
    return queries


def as_parameter(error: InvalidRequest, body: Any) -> InvalidRequest:
    """Return an error of a query with the names of the parameters in Anthropic's API.

    `body` has the parameters: of the one message, or of all `requests`.
    """
    fields = tuple(FieldError(_parameter(field.pointer, body), field.message) for field in error.errors)
    detail = "; ".join(f"{field.pointer.strip('/').replace('/', '.')}: {field.message}" for field in fields[:5])
    return InvalidRequest(detail or error.detail, errors=fields, headers=error.headers)


def _parameter(pointer: str, body: Any) -> str:
    above, params, field = pointer.partition("/params/")
    if not params:
        above, field = "", pointer.removeprefix("/")
    name, *inside = field.split("/")
    if name == "customId":  # the one field beside `params`
        return f"{above}/custom_id"
    if name in {"query", "attachments"}:
        return above + (params or "/") + _place_in(_messages(above, body), name, inside)
    return above + (params or "/") + "/".join([_PLACES.get(name, name), *inside])


def _messages(above: str, body: Any) -> Any:
    number = above.rpartition("/")[2]
    if isinstance(body, list):
        body = body[int(number)]["params"]
    return body["messages"]


def _place_in(messages: list[dict[str, Any]], name: str, inside: list[str]) -> str:
    """Return the place of the query, which is in the last user message, or of an attachment."""
    if name == "attachments" and inside and (place := place_of(messages, int(inside[0]))):
        return place
    if name == "attachments":
        return "messages"
    last = max(number for number, one in enumerate(messages) if one["role"] == "user")
    return f"messages/{last}/content"


def _fields(params: dict[str, Any], place: str) -> dict[str, Any]:
    """Translate the parameters of one message; `place` is what precedes their names in errors."""
    given = {name: value for name, value in params.items() if value is not None and not _changes_nothing(name, value)}
    fields: dict[str, Any] = {}
    # The results of a batch are written from the jobs alone, which do not name a forced tool.
    if not place:
        fields = tools_of(params, place)
        given = {name: value for name, value in given.items() if name not in _TOOLS}
    system = texts_of(given.pop("system"), f"{place}system") if "system" in given else []
    turns = None
    if "messages" in given:
        turns = turns_of(given.pop("messages"), f"{place}messages")
        fields |= turns.conversation.fields()
        system += turns.system
    if system:
        fields["systemPrompt"] = "\n".join(system)
    for name, value in given.items():
        fields |= _translate_field(name, value, f"{place}{name[:60]}")
    if turns is not None and turns.effort is not None:
        fields["effort"] = turns.effort
    for name, field in {**_SAME, "messages": "query"}.items():
        if field not in fields:
            raise refused(f"{place}{name}", "required")
    return fields


def _translate_field(name: str, value: Any, where: str) -> dict[str, Any]:
    match name:
        case "model" | "max_tokens":
            return {_SAME[name]: value}
        case "metadata":
            return {"metadata": {key: text for key, text in _object(value, where).items() if text is not None}}
        case "output_config":
            return _output(_object(value, where), where)
        case "output_format":  # the name of `output_config.format` in an earlier version
            return _output({"format": value}, where.removesuffix(f".{name}"))
        case "context_management":
            _check_context(value, where)
            return {}
        case "thinking":
            _check_thinking(value, where)
            return {}
        case "thread":
            raise RefusedThread(where)
        case _:
            raise refused(where, UNSUPPORTED)


def _changes_nothing(name: str, value: Any) -> bool:
    if name == "stream":
        return value is False  # of a batch
    # `True == 1` in Python.
    return name in _IGNORED or (not isinstance(value, bool) and value in _NO_EFFECT.get(name, ()))


def _check_context(value: Any, place: str) -> None:
    match value:
        case {"edits": list(edits), **rest} if not rest and all(_clears_thinking(edit) for edit in edits):
            pass  # no turn has thinking
        case _:
            raise refused(place, "should have edits of the type clear_thinking alone")


def _clears_thinking(edit: Any) -> bool:
    return isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking_")


def _check_thinking(value: Any, place: str) -> None:
    match value:
        case {"type": "adaptive", **rest} if not rest.keys() - {"display"}:
            pass  # the CLI's own choice
        case _:
            raise refused(place, 'should be {"type": "adaptive"}; output_config.effort limits thinking')


def _output(config: dict[str, Any], place: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in config.items():
        match name, value:
            case _, None:
                pass
            case "effort", str():
                fields["effort"] = value
            case "format", {"type": "json_schema", "schema": dict(schema), **rest} if not rest:
                fields["outputSchema"] = schema
            case _:
                raise refused(f"{place}.{name[:60]}", UNSUPPORTED)
    return fields


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(place, "should be an object")
    return value
