"""A client's JSON Schema as the model is given it: the tool by which it answers takes an object, under draft 07.

The CLI checks it strictly, and a keyword that it does not know ends it. What is left out here is left to the gateway,
which holds the answer to the whole schema.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from shared.json_schema.javascript_pattern import compiles_in_javascript
from shared.json_schema.parts import changed, every, parts, target_of

_KNOWN = frozenset(
    [
        "$ref",
        "$defs",
        "definitions",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "readOnly",
        "writeOnly",
        "type",
        "enum",
        "const",
        "multipleOf",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "format",
        "contentMediaType",
        "contentEncoding",
        "items",
        "additionalItems",
        "maxItems",
        "minItems",
        "uniqueItems",
        "contains",
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "maxProperties",
        "minProperties",
        "required",
        "dependencies",
        "if",
        "then",
        "else",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
    ]
)


# Those that say something about an answer and that draft 07 does not have.
_LEFT_OUT = frozenset(
    [
        "$dynamicRef",
        "$recursiveRef",
        "dependentRequired",
        "dependentSchemas",
        "maxContains",
        "minContains",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
# What the Messages API takes at the root of a tool's input: an object, without alternatives, and names like these.
_NOT_AT_THE_ROOT = frozenset(["$ref", "allOf", "anyOf", "const", "else", "enum", "if", "not", "oneOf", "then"])
_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def for_the_model(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the tool by which the model answers: the client's own, or wrapped in an object."""
    if _is_an_input(schema):
        whole: dict[str, Any] = _known(schema, "#")
        return whole
    # Its references hold one level deeper.
    value = _known(schema, "#/properties/value")
    return {"type": "object", "properties": {"value": value}, "required": ["value"]}


def unwrapped(schema: dict[str, Any], given: Any) -> Any:
    """Return the answer in what the model gave to that tool; raise ValueError when there is none."""
    match given:
        case dict() if _is_an_input(schema):
            return given
        case {"value": value} if not _is_an_input(schema):
            return value
        case _:
            raise ValueError("no answer was given")


def _is_an_input(schema: dict[str, Any]) -> bool:
    """Say whether the Messages API takes a schema as the input of a tool, as it is."""
    properties = schema.get("properties", {})
    return (
        schema.get("type") == "object"
        and _NOT_AT_THE_ROOT.isdisjoint(schema)
        and isinstance(properties, dict)
        and all(_PROPERTY.fullmatch(name) for name in properties)
    )


def _known(schema: Any, root: str) -> Any:
    """Write a schema with what the CLI knows; references are to lead to its parts below `root`."""
    lossy = _lossy(schema)

    def of(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        part = _in_draft_07(part)
        kept = {keyword: value for keyword, value in part.items() if _is_kept(keyword, part, lossy)}
        if isinstance(named := kept.get("patternProperties"), dict):
            kept["patternProperties"] = {name: one for name, one in named.items() if _compiles(name)}
        if isinstance(values := kept.get("enum"), list):
            # Draft 07 takes each value once.
            kept["enum"] = list({json.dumps(value, sort_keys=True): value for value in values}.values())
        if isinstance(reference := kept.get("$ref"), str):
            kept["$ref"] = root + reference[1:]
        return changed(kept, of)

    return of(schema)


Lossy = frozenset[int]
# When a keyword means no more than the client's own, although something else is left out.
_KEPT: dict[str, Callable[[dict[str, Any], Lossy], bool]] = {
    "not": lambda schema, lossy: id(schema["not"]) not in lossy,
    # An answer can fit more of the alternatives as they are written for the model.
    "oneOf": lambda schema, lossy: not any(id(part) in lossy for part in schema["oneOf"]),
    "if": lambda schema, lossy: ("then" in schema or "else" in schema) and id(schema["if"]) not in lossy,
    "then": lambda schema, lossy: "if" in schema and id(schema["if"]) not in lossy,
    "else": lambda schema, lossy: "if" in schema and id(schema["if"]) not in lossy,
    "additionalItems": lambda schema, _: isinstance(schema.get("items"), list),
    "additionalProperties": lambda schema, _: all(map(_compiles, schema.get("patternProperties", ()))),
    "contains": lambda schema, _: "minContains" not in schema,
    "enum": lambda schema, _: bool(schema["enum"]),
    "pattern": lambda schema, _: _compiles(schema["pattern"]),
}


def _is_kept(keyword: str, schema: dict[str, Any], lossy: Lossy) -> bool:
    """Say whether a keyword is known, and means no more without what is left out."""
    return keyword in _KNOWN and (keyword not in _KEPT or _KEPT[keyword](schema, lossy))


def _compiles(pattern: object) -> bool:
    """Say whether the CLI compiles an expression; what is none is left as it is, for the check of the schema."""
    return not isinstance(pattern, str) or compiles_in_javascript(pattern)


def _lossy(whole: Any) -> Lossy:
    """Return the schemas in one, by `id`, that take more when they are written for the model, or hold such a one."""
    known = [part for part in every(whole) if isinstance(part, dict)]
    lossy = {id(part) for part in known if _loses(part)}
    holders: dict[int, list[int]] = {}
    for part in known:
        for inner in (*parts(part), target_of(part.get("$ref"), whole)):
            holders.setdefault(id(inner), []).append(id(part))
    grown = list(lossy)
    while grown:
        new = [holder for holder in holders.get(grown.pop(), ()) if holder not in lossy]
        lossy.update(new)
        grown += new
    return frozenset(lossy)


def _loses(schema: dict[str, Any]) -> bool:
    """Say whether a schema itself says something that is left out."""
    patterns = (*schema.get("patternProperties", ()), *([schema["pattern"]] if "pattern" in schema else []))
    return not _LEFT_OUT.isdisjoint(schema) or not all(map(_compiles, patterns))


def _in_draft_07(schema: dict[str, Any]) -> dict[str, Any]:
    """Write what draft 07 has by other names; without it `items` would be for all."""
    if "prefixItems" not in schema:
        return schema
    rest = {"additionalItems": schema["items"]} if "items" in schema else {}
    return {**schema, "items": schema["prefixItems"], **rest}
