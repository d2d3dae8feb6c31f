"""JSON Schemas that clients send, and what comes back under them.

The model answers by a tool, whose input is an object: any other schema is put in one, under `value`.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012


def problem_of(schema: dict[str, Any]) -> str | None:
    """Say why an object is no schema that an answer could be held to; None when it is one.

    It has to stand by itself: nothing is fetched for it.
    """
    try:
        _class_of(schema).check_schema(schema)
    except SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path)
        return f"is no JSON Schema, at /{where}" if where else "is no JSON Schema"
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for reference in _references(schema):
        if not (reference == "#" or reference.startswith("#/")):
            return "may refer to its own parts only, as in #/$defs/name"
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return "refers to a part that it does not have"
    return None


def for_the_model(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the tool by which the model answers."""
    if schema.get("type") == "object":
        return schema
    return {"type": "object", "properties": {"value": _moved(schema)}, "required": ["value"]}


def unwrapped(schema: dict[str, Any], given: Any) -> Any:
    """Return the answer in what the model gave to that tool; raise ValueError when there is none."""
    match given:
        case {"value": value} if schema.get("type") != "object":
            return value
        case dict() if schema.get("type") == "object":
            return given
        case _:
            raise ValueError("no answer was given")


def check(schema: dict[str, Any], value: Any) -> None:
    """Raise ValueError when a value does not fit a schema."""
    validator: Validator = _class_of(schema)(schema, registry=Registry())
    try:
        validator.validate(value)
    except (ValidationError, RecursionError) as error:
        raise ValueError("does not fit the schema") from error


def has_patterns(schema: Any) -> bool:
    """Say whether a schema holds regular expressions, which can take for ever."""
    match schema:
        case dict():
            return bool({"pattern", "patternProperties"} & schema.keys()) or any(map(has_patterns, schema.values()))
        case list():
            return any(map(has_patterns, schema))
        case _:
            return False


def _class_of(schema: dict[str, Any]) -> Any:
    return validator_for(schema, default=Draft202012Validator)


def _references(schema: Any) -> Iterator[str]:
    match schema:
        case dict():
            for key, value in schema.items():
                # A property may have that name too; then it is no text.
                if key in {"$ref", "$dynamicRef", "$recursiveRef"} and isinstance(value, str):
                    yield value
                yield from _references(value)
        case list():
            for value in schema:
                yield from _references(value)
        case _:
            pass


def _moved(schema: Any) -> Any:
    """Return a schema whose references hold one level deeper."""
    match schema:
        case dict():
            return {
                key: f"#/properties/value{value[1:]}" if key == "$ref" and isinstance(value, str) else _moved(value)
                for key, value in schema.items()
            }
        case list():
            return [_moved(value) for value in schema]
        case _:
            return schema
