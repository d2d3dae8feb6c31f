"""`${credential.NAME}` in the headers of an MCP server: the value of a credential of the run's caller."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.api.ids import CREDENTIAL_NAME

_REFERENCE = re.compile(r"\$\{credential\.([^}]*)\}")


def names_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the credentials in headers, in order."""
    return tuple(dict.fromkeys(name for value in headers.values() for name in _REFERENCE.findall(value)))


def check(entry: Mapping[str, Any], headers: Mapping[str, str], *, shared: bool) -> None:
    """Raise ValueError for an entry that names a credential where none is replaced."""
    others = {name: value for name, value in entry.items() if name != "headers"}
    if "${credential." in json.dumps(others) or any("${credential." in name for name in headers):
        raise ValueError("${credential.NAME} is replaced in the values of headers only")
    names = names_in(headers)
    if sum(value.count("${credential.") for value in headers.values()) > sum(
        len(_REFERENCE.findall(value)) for value in headers.values()
    ) or not all(re.fullmatch(CREDENTIAL_NAME, name) for name in names):
        raise ValueError("headers: should name a credential as ${credential.NAME}, without a default")
    if names and shared:
        raise ValueError("headers: ${credential.NAME} needs a connection for each run; remove shared")


def filled(headers: Mapping[str, str], value_of: Callable[[str], str]) -> dict[str, str]:
    """Return headers with the values of their credentials."""
    return {name: _REFERENCE.sub(lambda found: value_of(found[1]), value) for name, value in headers.items()}
