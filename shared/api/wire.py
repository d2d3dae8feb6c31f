"""The bases of every object of the API."""

import math
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    """A JSON object of the API."""

    # `defer_build`: most objects describe answers in the documents, and no process validates them.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, defer_build=True)


class Body(Wire):
    """An object that a client sends. Only the names of the API are accepted, and an unknown field is an error."""

    # Built at import: a snapshot of a Lambda function holds it, and the first request does not wait for it.
    model_config = ConfigDict(extra="forbid", populate_by_name=False, defer_build=False)


def integral(value: Any) -> Any:
    """Accept 5.0 as 5, as JSON Schema does: some languages have one type of number and write it like that."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def finite(value: Any) -> Any:
    """Refuse numbers that JSON cannot represent: 1e999 parses to infinity."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("should contain finite numbers only")
        case dict():
            for item in value.values():
                finite(item)
        case list():
            for item in value:
                finite(item)
        case _:
            pass
    return value
