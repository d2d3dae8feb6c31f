"""Messages for invalid settings: one line for each variable, with the expected form and an example.

The messages of pydantic are not shown, because they name Python types and quote values, which may be secrets.
"""

import re
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

# The number of characters of a value that a message quotes.
_LONGEST_SHOWN = 60
# Values that may contain a secret in any variable: a URL with a password, or a key.
_SECRET = re.compile(r"@|\bsk-|whsec_|cgk_")
_KUBERNETES = re.compile(r"(tcp|udp|sctp)://")
_UNITS = {
    "_bytes": "bytes",
    "_memory": "bytes",
    "claude_timeout": "milliseconds",
    "claude_silence_timeout": "milliseconds",
    "_ttl": "seconds",
    "_timeout": "seconds",
    "_seconds": "seconds",
    "_grace": "seconds",
    "disable_after": "seconds",
    "_usd": "US dollars",
}
_BY_TYPE = {
    "bool": "should be true or false",
    "dict": 'should be an object, such as {"NAME": "value"}',
    "extra_forbidden": "is an unknown field",
    "finite_number": "should be a finite number",
    "float": "should be a number",
    "greater_than": "should be greater than {gt}",
    "greater_than_equal": "should be {ge} or more",
    "int": "should be a whole number",
    "less_than": "should be less than {lt}",
    "less_than_equal": "should be {le} or less",
    "list": 'should be a list, such as ["one", "two"]',
    "literal_error": "should be {expected}",
    "missing": "is missing",
    "model": "should be an object, such as {}",
    "string_too_long": "should have {max_length} characters or fewer",
    "string_too_short": "should have {min_length} characters or more",
    "string_unicode": "should be UTF-8 text",
    "string": 'should be text, such as "value"',
    "tuple": 'should be a list, such as ["one", "two"]',
}


class SettingsError(Exception):
    """One or more variables are invalid; the text has a line for each, with the expected form."""


def setting_problems(error: "ValidationError", settings: "type[BaseModel]") -> list[str]:
    """Return a line for each invalid setting of a class; no line contains a secret."""
    found = []
    for problem in error.errors(include_url=False):
        if not problem["loc"]:  # about several variables; the message names them
            found.extend(plain(problem).splitlines())
            continue
        name = str(problem["loc"][0])
        field = settings.model_fields.get(name)
        expected = _of_field(name, field) if field and problem["type"] not in {"value_error", "string_unicode"} else ""
        given = problem["input"]
        hint = _of_kubernetes(name.upper(), given)
        found.append(
            f"{name.upper()}: {expected or plain(problem)}{'' if _is_secret(name, field) else _shown(given)}{hint}"
        )
    return list(dict.fromkeys(found))


def plain(problem: Mapping[str, Any]) -> str:
    """Return the expected form of a value, for an error of pydantic."""
    kind = problem["type"]
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    known = _BY_TYPE.get(kind) or _BY_TYPE.get(kind.partition("_")[0], "has an invalid form")
    for name, value in problem.get("ctx", {}).items():
        known = known.replace(f"{{{name}}}", str(value))
    return known


def _of_field(name: str, field: "FieldInfo") -> str:
    """Return the expected form of a field, with its range, its unit and an example."""
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not NoneType]
    if get_origin(field.annotation) is Literal:
        words = [str(word) for word in get_args(field.annotation)]
        return f"should be {', '.join(words[:-1])} or {words[-1]}"
    match kinds:
        case [kind] if kind is bool:
            return "should be true or false (or 1, yes, on, 0, no, off)"
        case [kind] if kind in {int, float}:
            unit = next((f" of {unit}" for end, unit in _UNITS.items() if name.endswith(end)), "")
            whole = "whole number" if kind is int else "number"
            sign = ", in digits without a unit" if unit else ""
            return f"should be a {whole}{unit}{_range(field)}{sign}, such as {_example(field, kind)}"
        case _:
            return ""


def _range(field: "FieldInfo") -> str:
    bounds = {
        bound: getattr(item, bound) for item in field.metadata for bound in ("ge", "gt", "le") if hasattr(item, bound)
    }
    low, above, high = (bounds.get(bound) for bound in ("ge", "gt", "le"))
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of {low} or more" if low else ", 0 or more"
    upper = f" and {high} at most" if high is not None else ""
    return f" greater than {above}{upper}" if above is not None else upper.replace(" and", " of")


def _example(field: "FieldInfo", kind: type) -> str:
    if isinstance(field.default, int | float):
        return str(field.default)
    return "2.50" if kind is float else "100"


def _is_secret(name: str, field: "FieldInfo | None") -> bool:
    by_name = any(word in name for word in ("secret", "password", "token", "key", "headers"))
    return by_name or field is None or "Secret" in str(field.annotation)


def _shown(value: object) -> str:
    """Return a value for the end of a message, which helps to find a typing error."""
    text = str(value)
    if not isinstance(value, str) or _SECRET.search(text):
        return ""
    return f" (it is {text[:_LONGEST_SHOWN]!r}{'…' if len(text) > _LONGEST_SHOWN else ''})"


def _of_kubernetes(name: str, value: object) -> str:
    if not name.endswith("PORT") or not isinstance(value, str) or not _KUBERNETES.match(value):
        return ""
    other = ", or set REDIS_URL" if name == "REDIS_PORT" else ""
    return (
        f". Kubernetes and Docker links set this variable for a service of that name: set {name} to the number "
        f"yourself{other}, or disable the links with enableServiceLinks: false"
    )
