"""A client's JSON Schema as the model is given it: the tool by which it answers takes an object, under draft 07.

The CLI checks it strictly, and a keyword that it does not know ends it. What is left out here is left to the gateway,
which holds the answer to the whole schema.
"""

from typing import Any

from shared.schema_parts import changed

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


def for_the_model(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the tool by which the model answers."""
    if schema.get("type") == "object":
        whole: dict[str, Any] = _known(schema, "#")
        return whole
    # Its references hold one level deeper.
    value = _known(schema, "#/properties/value")
    return {"type": "object", "properties": {"value": value}, "required": ["value"]}


def unwrapped(schema: dict[str, Any], given: Any) -> Any:
    """Return the answer in what the model gave to that tool; raise ValueError when there is none."""
    match given:
        case {"value": value} if schema.get("type") != "object":
            return value
        case dict() if schema.get("type") == "object":
            return given
        case _:
            raise ValueError("no answer was given")


def _known(schema: Any, root: str) -> Any:
    if not isinstance(schema, dict):
        return schema
    if "prefixItems" in schema:
        # What draft 07 says by other names; without it `items` would be for all.
        rest = {"additionalItems": schema["items"]} if "items" in schema else {}
        schema = {**schema, "items": schema["prefixItems"], **rest}
    kept = {
        keyword: value for keyword, value in schema.items() if keyword in _KNOWN and _means_something(keyword, schema)
    }
    if isinstance(reference := kept.get("$ref"), str):
        kept["$ref"] = root + reference[1:]
    return changed(kept, lambda part: _known(part, root))


def _means_something(keyword: str, schema: dict[str, Any]) -> bool:
    """Say whether a keyword does without those that are left out, or not there."""
    match keyword:
        case "if":
            return "then" in schema or "else" in schema
        case "then" | "else":
            return "if" in schema
        case "additionalItems":
            return isinstance(schema.get("items"), list)
        case "contains":
            return "minContains" not in schema
        case "enum":
            return bool(schema["enum"])
        case _:
            return True
