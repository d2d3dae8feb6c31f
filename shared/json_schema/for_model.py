"""Translate a client's JSON Schema for the model: its answer tool takes an object, with a schema of draft 07.

The CLI checks the schema strictly and fails on an unknown keyword. The gateway validates the answer against the whole
schema, including what is omitted here.
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
# Keywords that restrict an answer and that draft 07 does not have.
_OMITTED = frozenset(
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
# The Messages API requires the root of a tool's input to be an object without these keywords and with such names.
_NOT_AT_THE_ROOT = frozenset(["$ref", "allOf", "anyOf", "const", "else", "enum", "if", "not", "oneOf", "then"])
_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def for_the_model(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the model's answer tool: the client's schema, wrapped in an object if necessary."""
    if _is_an_input(schema):
        whole: dict[str, Any] = _known(schema, "#")
        return whole
    # References in it are one level deeper.
    value = _known(schema, "#/properties/value")
    return {"type": "object", "properties": {"value": value}, "required": ["value"]}


def unwrap(schema: dict[str, Any], given: Any) -> Any:
    """Return the answer in the input of the answer tool; raises ValueError without an answer."""
    match given:
        case dict() if _is_an_input(schema):
            return given
        case {"value": value} if not _is_an_input(schema):
            return value
        case _:
            raise ValueError("the input of the tool has no answer")


def _is_an_input(schema: dict[str, Any]) -> bool:
    """Return whether the Messages API accepts a schema as the input of a tool without a wrapper."""
    properties = schema.get("properties", {})
    return (
        schema.get("type") == "object"
        and _NOT_AT_THE_ROOT.isdisjoint(schema)
        and isinstance(properties, dict)
        and all(_PROPERTY.fullmatch(name) for name in properties)
    )


def _known(schema: Any, root: str) -> Any:
    """Return a schema with the keywords that the CLI knows, and with references relative to `root`."""
    lossy = _lossy(schema)

    def of(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        part = _in_draft_07(part)
        kept = {keyword: value for keyword, value in part.items() if _is_kept(keyword, part, lossy)}
        if isinstance(named := kept.get("patternProperties"), dict):
            kept["patternProperties"] = {name: one for name, one in named.items() if _compiles(name)}
        if isinstance(values := kept.get("enum"), list):
            # Draft 07 requires unique values.
            kept["enum"] = list({json.dumps(value, sort_keys=True): value for value in values}.values())
        if isinstance(reference := kept.get("$ref"), str):
            kept["$ref"] = root + reference[1:]
        return changed(kept, of)

    return of(schema)


Lossy = frozenset[int]
# Conditions under which a keyword is not stricter than the client's, although other keywords are omitted.
_KEPT: dict[str, Callable[[dict[str, Any], Lossy], bool]] = {
    "not": lambda schema, lossy: id(schema["not"]) not in lossy,
    # An answer may match several alternatives after the translation.
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
    """Return whether a keyword is known and not stricter without the omitted keywords."""
    return keyword in _KNOWN and (keyword not in _KEPT or _KEPT[keyword](schema, lossy))


def _compiles(pattern: object) -> bool:
    """Return whether the CLI compiles an expression; True for other types, which the check of the schema refuses."""
    return not isinstance(pattern, str) or compiles_in_javascript(pattern)


def _lossy(whole: Any) -> Lossy:
    """Return the `id` of each subschema that accepts more after the translation, or that contains such a subschema."""
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
    """Return whether a schema itself has something that is omitted."""
    patterns = (*schema.get("patternProperties", ()), *([schema["pattern"]] if "pattern" in schema else []))
    return not _OMITTED.isdisjoint(schema) or not all(map(_compiles, patterns))


def _in_draft_07(schema: dict[str, Any]) -> dict[str, Any]:
    """Rename the keywords that draft 07 has under other names; otherwise `items` would apply to all items."""
    if "prefixItems" not in schema:
        return schema
    rest = {"additionalItems": schema["items"]} if "items" in schema else {}
    return {**schema, "items": schema["prefixItems"], **rest}
