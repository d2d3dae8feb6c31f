"""Join the files of a Lua script, without the definitions that it does not use.

Redis runs the whole text at each call, and a definition takes time whether it is used or not: all of them together take
several times as long as most scripts.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

# Strings, comments, and names outside of them.
_TOKENS = re.compile(r"'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|--[^\n]*|([A-Za-z_]\w*)")
# The first line of a statement is not indented; neither is its last.
_GOES_ON = re.compile(r"\s|$|--|end\b|until\b|else|[})\]]")
_DEFINES = re.compile(
    r"^local (?!function\b)(?P<locals>\w+(?:, \w+)*)"
    r"|^(?:\w+\.)?(?P<variable>\w+) ="
    r"|\bfunction (?:\w+\.)?(?P<function>\w+)\("
)


def joined(parts: Iterable[str], own: str) -> str:
    """Return the statements of shared parts that a script needs, in their order, then its own text."""
    statements = [statement for part in parts for statement in _statements(part)]
    definitions = defaultdict(list)
    needed: set[int] = set()
    for place, statement in enumerate(statements):
        names = _defined(statement)
        for name in names:
            definitions[name].append(place)
        if not names:
            needed.add(place)
    remaining = [own, *(statements[place] for place in needed)]
    while remaining:
        for name in _names(remaining.pop()):
            for place in definitions.pop(name, ()):
                if place not in needed:
                    needed.add(place)
                    remaining.append(statements[place])
    return "".join(statements[place] for place in sorted(needed)) + own


def _statements(text: str) -> Iterator[str]:
    """Split a part into its statements, without the comments between them."""
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        if not _GOES_ON.match(line):
            if lines:
                yield "".join(lines)
            lines = [line]
        elif lines:
            lines.append(line)
    if lines:
        yield "".join(lines)


def _defined(statement: str) -> Sequence[str]:
    """Return the names that a statement defines, those of a table's fields without the table."""
    found: list[str] = []
    for match in _DEFINES.finditer(statement):
        names = match["locals"] or match["variable"] or match["function"]
        found += names.split(", ") if names else []
    return found


def _names(text: str) -> set[str]:
    return {name for name in _TOKENS.findall(text) if name}
