"""Traverse the subschemas of a JSON Schema, for reading and for translation."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

# Keywords of drafts 06 to 2020-12 whose value is a schema, a list of schemas, or schemas by name.
_ONE = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_LIST = frozenset(["allOf", "anyOf", "oneOf", "prefixItems", "items"])
_NAMED = frozenset(["$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"])
# Keywords whose subschemas apply to the same value as the schema itself.
_IN_PLACE = frozenset(["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"])


def places(schema: Any, *, in_place: bool = False) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the direct subschemas of a schema with their places; `in_place` only those for the same value."""
    if isinstance(schema, dict):
        for keyword, value in schema.items():
            if in_place and keyword not in _IN_PLACE:
                continue
            if keyword in _ONE and isinstance(value, dict | bool):
                yield (keyword,), value
            elif keyword in _LIST and isinstance(value, list):
                yield from (((keyword, number), part) for number, part in enumerate(value))
            elif keyword in _NAMED and isinstance(value, dict):
                # A list in `dependencies` contains names.
                yield from (((keyword, name), part) for name, part in value.items() if isinstance(part, dict | bool))


def parts(schema: Any, *, in_place: bool = False) -> Iterator[Any]:
    """Yield the direct subschemas of a schema; `in_place` only those for the same value."""
    return (part for _, part in places(schema, in_place=in_place))


def every(schema: Any) -> Iterator[Any]:
    """Yield a schema and all its subschemas, at any depth."""
    yield schema
    for part in parts(schema):
        yield from every(part)


def every_place(schema: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield a schema and all its subschemas, each with its place."""
    yield place, schema
    for inner, part in places(schema):
        yield from every_place(part, place + inner)


def changed(schema: Any, change: Callable[[Any], Any]) -> Any:
    """Return a schema with its direct subschemas changed."""
    if not isinstance(schema, dict):
        return schema

    def of(keyword: str, value: Any) -> Any:
        match value:
            case dict() if keyword in _ONE:
                return change(value)
            case list() if keyword in _LIST:
                return [change(part) for part in value]
            case dict() if keyword in _NAMED:
                return {name: change(part) if isinstance(part, dict) else part for name, part in value.items()}
            case _:
                return value

    return {keyword: of(keyword, value) for keyword, value in schema.items()}


def target_of(reference: Any, whole: Any) -> Any:
    """Return the target of a reference in a schema; None without a target."""
    if not isinstance(reference, str):
        return None
    place = whole
    for step in reference.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        match place:
            case dict() if name in place:
                place = place[name]
            case list() if name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            case _:
                return None
    return place
