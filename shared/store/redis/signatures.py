"""The arguments of a Lua script, as its header lists them.

    -- ARGV
    --   job_id      a value
    --   submission  JSON: an object of exactly these fields:
    --     caller    …
    --     trace?    a field that may be left out: Redis takes long to decode an object
    --   names ...   the rest of the arguments
    -- Returns …

Python passes the arguments by name. The header decides their order, and a call with other names fails before anything
is sent, so that a header cannot differ from what Python sends. `tests/contract/test_scripts.py` compares the header
with what the script reads.
"""

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import to_json

_ARGUMENT = re.compile(r"--   (?P<name>\w+)(?P<rest> \.\.\.)?(?:  +(?P<json>JSON:(?= |$))?.*)?")
_FIELD = re.compile(r"--     (?P<name>\w+)(?P<optional>\?)?(?:  +\S.*)?")
_CONTINUED = re.compile(r"--       +\S.*")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument; `fields` are those of a JSON object, None for any other value. The last one may take the `rest`.

    An object may have no field that is `optional`.
    """

    name: str
    fields: frozenset[str] | None = None
    optional: frozenset[str] = frozenset()
    rest: bool = False


class Signature:
    """The arguments of one script."""

    def __init__(self, script: str, text: str) -> None:
        """Read the header of a script; raise ValueError when it does not have the form above."""
        self._script = script
        self.parameters = _parameters(script, text)
        self._order = tuple(parameter.name for parameter in self.parameters)
        self._names = frozenset(self._order)
        self._objects = [(place, one) for place, one in enumerate(self.parameters) if one.fields is not None]
        self._has_rest = any(parameter.rest for parameter in self.parameters)
        # Names that have been found equal, in the order in which callers give them: comparing sets takes longer.
        self._equal: set[tuple[str, ...]] = set()

    def values(self, arguments: Mapping[str, Any]) -> list[Any]:
        """Return arguments in the order of the header; raise TypeError when their names are not those of the header.

        A JSON argument that is a text was written by `encode` before.
        """
        self._compare(self._script, self._names, frozenset(), arguments)
        values: list[Any] = [arguments[name] for name in self._order]
        for place, parameter in self._objects:
            if not isinstance(values[place], str):
                values[place] = self.encode(parameter, values[place])
        return [*values[:-1], *values[-1]] if self._has_rest else values

    def encode(self, parameter: Parameter, value: Mapping[str, Any]) -> str:
        """Return a JSON argument as text; raise TypeError when its fields are not those of the header."""
        self._compare(parameter.name, parameter.fields or frozenset(), parameter.optional, value)
        try:
            return to_json(value, inf_nan_mode="constants").decode()
        except ValueError:  # a lone surrogate, which only an escape can write
            return json.dumps(value)

    def _compare(self, what: str, listed: Set[str], optional: Set[str], sent: Mapping[str, Any]) -> None:
        names = (what, *sent)
        if names in self._equal:
            return
        required = listed - optional
        if not required <= sent.keys() <= listed:
            missing, unknown = sorted(required - sent.keys()), sorted(sent.keys() - listed)
            raise TypeError(f"{self._script}.lua: {what}: header and call differ: missing {missing}, unknown {unknown}")
        if len(self._equal) < 1000:  # clients choose which optional fields there are
            self._equal.add(names)

    def parameter(self, name: str) -> Parameter:
        """Return the parameter of that name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)


def _parameters(script: str, text: str) -> tuple[Parameter, ...]:
    lines = _listed(script, text)
    parameters: list[Parameter] = []
    for line in lines:
        if found := _ARGUMENT.fullmatch(line):
            fields = frozenset[str]() if found["json"] else None
            parameters.append(Parameter(found["name"], fields, rest=bool(found["rest"])))
        elif parameters and (listed := parameters[-1].fields) is not None and (found := _FIELD.fullmatch(line)):
            name, optional = {found["name"]}, parameters[-1].optional
            optional |= name if found["optional"] else set()
            parameters[-1] = replace(parameters[-1], fields=listed | name, optional=optional)
        elif not _CONTINUED.fullmatch(line):
            raise ValueError(f"{script}.lua: not a line of ARGV: {line}")
    return tuple(parameters)


def _listed(script: str, text: str) -> Sequence[str]:
    """Return the lines of the header between `-- ARGV` and `-- Returns`."""
    header = text.splitlines()
    if "-- ARGV: none" in header:
        return ()
    try:
        start = header.index("-- ARGV")
        end = next(number for number, line in enumerate(header) if number > start and line.startswith("-- Returns"))
    except (ValueError, StopIteration):
        raise ValueError(f"{script}.lua: its header has no ARGV or no Returns") from None
    return header[start + 1 : end]
