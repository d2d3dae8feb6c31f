"""JSON Schemas that clients send: whether an answer can be held to one."""

import functools
import json
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from shared.schema_for_model import for_the_model
from shared.schema_parts import every, parts

# Of what a client sends, and of what the model is given: that goes to the CLI as one argument, of which Linux allows
# 128 KiB.
_MAX_BYTES = 120_000
_TYPES = 7  # there are no more
_DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
    }
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def problem_of(schema: dict[str, Any]) -> str | None:
    """Say why an object is no schema that an answer could be held to; None when it is one.

    It has to stand by itself: nothing is fetched for it. A long one takes a second.
    """
    # One program asks with the same schema again and again, and in each query of a batch.
    return _problem_of(json.dumps(schema, separators=(",", ":")))


@functools.lru_cache(maxsize=100)
def _problem_of(text: str) -> str | None:
    schema = json.loads(text)
    try:
        return _first_problem(schema, len(text))
    except SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path)
        # ECMA-262 has expressions that Python's `re` has not, such as \p{L}: it may well be a schema.
        is_expression = error.validator == "format" and error.validator_value == "regex"
        what = "has a regular expression that Python's re cannot read" if is_expression else "is no JSON Schema"
        return f"{what}, at /{where}" if where else what
    except RecursionError:
        return "is nested too deep"
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
        # The libraries take the keywords to have the types that only a schema's have.
        return "is no JSON Schema"


def _first_problem(schema: dict[str, Any], sent: int) -> str | None:
    dialect = schema.get("$schema", Draft202012Validator.META_SCHEMA["$id"])
    if not isinstance(dialect, str) or dialect.rstrip("#") not in _DIALECTS:
        return "should be of draft 2020-12, 2019-09, 07 or 06, by its $schema"
    if max(sent, len(json.dumps(for_the_model(schema)))) > _MAX_BYTES:
        return f"may have {_MAX_BYTES} bytes as JSON in ASCII"
    for part in every(schema):
        types = part.get("type") if isinstance(part, dict) else None
        # The library would compare each with each, however many there are.
        if isinstance(types, list) and len(types) > _TYPES:
            return f"may name {_TYPES} types in one place"
        if part is not schema and isinstance(part, dict) and ("$id" in part or "$schema" in part):
            return "may have $id and $schema at its root only"
    validator_for(schema, default=Draft202012Validator).check_schema(schema)
    return _problem_of_references(schema) or _problem_of_references(for_the_model(schema))


def _problem_of_references(schema: dict[str, Any]) -> str | None:
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    known = {id(part) for part in every(schema)}
    targets: dict[int, list[Any]] = {}
    for part in every(schema):
        for reference in (part[name] for name in _REFERENCES if isinstance(part, dict) and name in part):
            if not (reference == "#" or reference.startswith("#/")):
                return "may refer to its own parts only, as in #/$defs/name"
            try:
                target = resolver.lookup(reference).contents
            except Unresolvable:
                return "refers to a part that it does not have"
            if id(target) not in known:
                return "refers to a part that is no schema"
            targets.setdefault(id(part), []).append(target)
    return "refers to itself without an end" if _is_endless(schema, targets) else None


def _is_endless(schema: dict[str, Any], targets: dict[int, list[Any]]) -> bool:
    """Say whether holding one value to a schema comes back to holding the same value to it."""
    done: set[int] = set()

    def leads_back(part: Any, above: frozenset[int]) -> bool:
        if id(part) in above:
            return True
        if not isinstance(part, dict) or id(part) in done:
            return False
        further = [*parts(part, in_place=True), *targets.get(id(part), ())]
        if any(leads_back(one, above | {id(part)}) for one in further):
            return True
        done.add(id(part))
        return False

    return any(leads_back(part, frozenset()) for part in every(schema))
