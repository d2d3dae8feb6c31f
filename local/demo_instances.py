"""Minimal instances of a JSON Schema, for the demo model's structured answers."""

import math
from typing import Any

from local.messages_api import JsonObject

_DEEPEST = 16


def minimal_instance(schema: Any) -> Any:
    """Return a value that satisfies a simple schema: types, `enum`, `const`, `required`, bounds, local `$ref`.

    Objects have their required properties, or all properties if none is required. The value may not satisfy a schema
    with `pattern`, `format` or conditions. Nesting is limited to 16 levels.
    """
    return _instance(schema, schema, 0)


def _instance(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(reference := schema.get("$ref"), str):
        return _instance(_resolve(reference, root), root, depth + 1)
    choices = schema.get("anyOf") or schema.get("oneOf")
    return _instance(choices[0], root, depth + 1) if choices else _of_type(schema, root, depth)


def _of_type(schema: JsonObject, root: Any, depth: int) -> Any:
    match _kind(schema):
        case "object":
            return _object(schema, root, depth)
        case "array":
            return [_instance(schema.get("items", {}), root, depth + 1) for _ in range(schema.get("minItems", 0))]
        case "string":
            return "demo".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
        case "integer" | "number" as kind:
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return False
        case _:
            return None


def _kind(schema: JsonObject) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else None)
    return kind[0] if isinstance(kind, list) and kind else kind


def _object(schema: JsonObject, root: Any, depth: int) -> JsonObject:
    properties = schema.get("properties", {})
    return {name: _instance(properties.get(name, {}), root, depth + 1) for name in schema.get("required") or properties}


def _number(schema: JsonObject, *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and low >= 0:
        value = math.ceil(low / step) * step
        value = value + step if value == schema.get("exclusiveMinimum") else value
    elif high is not None and high <= 0:
        value = math.floor(high / step) * step
        value = value - step if value == schema.get("exclusiveMaximum") else value
    else:
        value = 0
    return int(value) if whole else value


def _resolve(reference: str, root: Any) -> Any:
    target = root
    for part in reference.removeprefix("#").split("/")[1:]:
        target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
    return target
