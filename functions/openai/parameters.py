"""Parameters that OpenAI's two APIs share: values that change nothing, and formats of the answer."""

import re
from typing import Any

from functions.openai.turns import refuse_others
from shared.api.errors import RefusedParameter

# Values that change nothing, accepted because some programs always send them.
_NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("auto", "none"),
    "functions": ([],),
    "function_call": ("auto", "none"),
    "parallel_tool_calls": (True, False),
    "max_tool_calls": (0,),
    "include": ([], ["reasoning.encrypted_content"]),
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "stream_options": ({}, {"include_obfuscation": False}),
    "temperature": (1,),
    "top_p": (1,),
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([],),
    "modalities": (["text"],),
    "verbosity": ("medium",),
}
# Parameters that change nothing, whatever their value: who asks, and where a prompt is cached.
_IGNORED = {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"}


def changes_nothing(name: str, value: Any) -> bool:
    """Return whether a parameter has no effect on the answer."""
    # `True == 1` in Python.
    same = (one for one in _NO_EFFECT.get(name, ()) if one == value)
    return name in _IGNORED or any(isinstance(one, bool) == isinstance(value, bool) for one in same)


def flag(given: dict[str, Any], name: str, *, default: bool) -> bool:
    """Remove a boolean parameter and return it; raises RefusedParameter."""
    value = given.pop(name, default)
    if not isinstance(value, bool):
        raise RefusedParameter(name, "should be true or false", "invalid_value")
    return value


def json_schema(given: dict[Any, Any], where: str) -> dict[str, Any]:
    """Translate a format with `schema`, `name` and `strict` into fields of a query."""
    rest = dict(given)
    schema = rest.pop("schema", None)
    if not isinstance(schema, dict):
        raise RefusedParameter(f"{where}.schema", "should be a JSON Schema", "invalid_value")
    # Repeated in responses. Every answer conforms to its schema, whatever `strict` says.
    options = {name: rest.pop(name) for name in ("name", "strict") if rest.get(name) is not None}
    if rest.get("description") is not None:
        schema = {"description": rest.pop("description"), **schema}
    refuse_others(rest, where)
    name = options.get("name", "answer")
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)):
        raise RefusedParameter(f"{where}.name", "should be 1 to 64 letters, digits, _ and -", "invalid_value")
    if not isinstance(options.get("strict", False), bool):
        raise RefusedParameter(f"{where}.strict", "should be true or false", "invalid_value")
    return {"outputSchema": schema, "textFormat": options or None}
