"""Check whether the gateway can validate answers against a client's JSON Schema."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from jsonschema_rs import ValidationError, ValidationErrorKind, validator_for

from shared.json_schema.for_model import for_the_model
from shared.json_schema.parts import every, every_place, parts, target_of

# Limit of the client's schema and of its translation for the model, which is one argument of the CLI. Linux limits
# an argument to 128 KiB.
MAX_BYTES = 120_000
_TYPES = 7  # JSON Schema has seven
_MAX_PATTERN = 4096
_SHOWN = 100
_DEFAULT_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DIALECTS = frozenset(
    {
        _DEFAULT_DIALECT,
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
    }
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class Problem(NamedTuple):
    """The reason why a schema cannot be used; `place` is a JSON Pointer, empty if unknown.

    A problem that `may_pass` depends on the load of the machine and is not cached.
    """

    message: str
    place: str = ""
    may_pass: bool = False


def too_long() -> Problem:
    """Return the problem of a schema that is too long."""
    return Problem(f"should have at most {MAX_BYTES} bytes as JSON in ASCII")


def problem_in(text: str) -> Problem | None:
    """Return the problem of a schema, given as JSON, or None. A long schema takes a second or more.

    References to other documents are refused; nothing is fetched.
    """
    try:
        schema = json.loads(text)
        return _first_problem(schema, len(text))
    except ValidationError as error:
        is_expression = isinstance(error.kind, ValidationErrorKind.Format)
        what = "has a regular expression that cannot be compiled" if is_expression else "is not a valid JSON Schema"
        return Problem(what, _pointer(error.instance_path))
    except RecursionError:
        return Problem("is nested too deeply")
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
        # The libraries assume that keywords have the types of a valid schema.
        return Problem("is not a valid JSON Schema")


def _first_problem(schema: dict[str, Any], sent: int) -> Problem | None:
    dialect = schema.get("$schema", _DEFAULT_DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") not in _DIALECTS:
        return Problem("should have a $schema of draft 2020-12, 2019-09, 07 or 06", "/$schema")
    if max(sent, len(json.dumps(for_the_model(schema)))) > MAX_BYTES:
        return too_long()
    for place, part in every_place(schema):
        if not isinstance(part, dict):
            continue
        types = part.get("type")
        # The library compares each type with every other, in quadratic time.
        if isinstance(types, list) and len(types) > _TYPES:
            return Problem(f"should have at most {_TYPES} types in one place", _pointer((*place, "type")))
        if place and ("$id" in part or "$schema" in part):
            return Problem("should have $id and $schema at its root only", _pointer(place))
        for where, pattern in _patterns(part):
            if len(pattern) > _MAX_PATTERN:
                return Problem(f"should have at most {_MAX_PATTERN} characters in a pattern", _pointer((*place, where)))
    problem = _problem_of_references(schema)
    if problem is None:
        validator_for(schema)
        problem = _problem_of_references(for_the_model(schema))
    return Problem(problem) if problem else None


def _patterns(part: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(pattern := part.get("pattern"), str):
        yield "pattern", pattern
    if isinstance(named := part.get("patternProperties"), dict):
        yield from (("patternProperties", name) for name in named)


def _pointer(path: Iterable[Any]) -> str:
    """Write a place as a JSON Pointer of limited length."""
    parts = (str(part)[:_SHOWN].replace("~", "~0").replace("/", "~1") for part in islice(path, _SHOWN))
    return "".join("/" + part for part in parts)


def _problem_of_references(schema: dict[str, Any]) -> str | None:
    known = {id(part) for part in every(schema)}
    targets: dict[int, list[Any]] = {}
    for part in every(schema):
        for reference in (part[name] for name in _REFERENCES if isinstance(part, dict) and name in part):
            if not (reference == "#" or reference.startswith("#/")):
                return "should refer to its own parts only, as in #/$defs/name"
            target = target_of(reference, schema)
            if target is None:
                return "refers to a part that it does not have"
            if id(target) not in known:
                return "refers to a part that is not a schema"
            targets.setdefault(id(part), []).append(target)
    return "refers to itself endlessly" if _is_endless(schema, targets) else None


def _is_endless(schema: dict[str, Any], targets: dict[int, list[Any]]) -> bool:
    """Return whether validating a value would validate the same value against the same schema again."""
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
