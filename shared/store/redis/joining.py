"""Join the files of a Lua script, so that a call does little before the first line of the script itself.

Redis runs the whole text at each call, and a definition takes time whether it is used or not: all of them together take
several times as long as most scripts. So a script gets only those that it needs, constants as their values, and what a
function of one line returns in place of its calls. A function whose comment begins with `Rare:` makes at each of its
calls what no other needs.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

# Strings, comments, and names outside of them, each with its field if it is a table.
_TOKENS = re.compile(
    r"'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|--[^\n]*|(?<![\w:])(?<![^.]\.)([A-Za-z_]\w*(?:\.\w+)?)"
)
# The first line of a statement is not indented; neither is its last.
_GOES_ON = re.compile(r"\s|$|--|end\b|until\b|else|[})\]]")
_DEFINES = re.compile(
    r"local (?!function\b)(?P<locals>\w+(?:, \w+)*)"
    r"|(?P<variable>\w+(?:\.\w+)?) ="
    r"|(?:local )?function (?P<function>\w+(?:\.\w+)?)\("
)
# Names in capitals, of texts and numbers.
_VALUE = r"(?:'[\w:]*'|\d[\d.*^ ]*)"
_CONSTANTS = re.compile(rf"local (?P<names>[A-Z_]+(?:, [A-Z_]+)*) = (?P<values>{_VALUE}(?:, {_VALUE})*)(?: --.*)?\n")
_FUNCTION = re.compile(r"local function \w+\([^)]*\)")
# A function of one line, which returns one value.
_SHORT = re.compile(r"local function (?P<name>\w+)\((?P<parameters>\w+(?:, \w+)*)\) return (?P<value>.+) end\n")
# What separates the arguments of a call, and strings, in which it does not.
_SEPARATORS = re.compile(r"'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|[(){}\[\],]")
_RARE = "-- Rare: "


def joined(parts: Iterable[str], own: str) -> str:
    """Return the statements of shared parts that a script needs, in their order, then its own text."""
    statements, rare, constants = _read(parts)
    last = len(statements)
    statements.append(own)
    users = _users(statements, _short(statements))
    # Each statement is within these rare functions, from the outermost.
    within: dict[int, tuple[int, ...]] = {last: ()}
    inner = defaultdict[tuple[int, ...], list[int]](list)
    for place in sorted(users, reverse=True):
        # What comes before its definition gets it by a variable, which all functions share.
        is_free = _FUNCTION.match(statements[place]) and min(users[place], default=-1) >= place
        paths = [within[user] + (user,) * (user in rare) for user in users[place] - {place}] if is_free else []
        within[place] = _common(paths)
        inner[within[place]].insert(0, place)

    def text_of(place: int) -> str:
        text = "".join(map(text_of, inner[(*within[place], place)]))
        return (
            _FUNCTION.sub(lambda head: f"{head[0]}\n{text}", statements[place], count=1) if text else statements[place]
        )

    return _with_values("".join(map(text_of, [*inner[()], last])), constants)


def _read(parts: Iterable[str]) -> tuple[list[str], set[int], dict[str, str]]:
    """Return the statements of parts, the places of the rare functions, and the constants, which are no statements."""
    statements: list[str] = []
    rare: set[int] = set()
    constants: dict[str, str] = {}
    for part in parts:
        for text, is_rare in _statements(part):
            if found := _CONSTANTS.match(text):
                constants |= zip(found["names"].split(", "), found["values"].split(", "), strict=True)
                continue
            if is_rare:
                rare.add(len(statements))
            statements.append(text)
    return statements, rare, constants


def _statements(text: str) -> Iterator[tuple[str, bool]]:
    """Split a part into its statements, without the comments between them; yield whether each is rare."""
    lines: list[str] = []
    is_rare = next_is_rare = False
    for line in text.splitlines(keepends=True):
        if not _GOES_ON.match(line):
            if lines:
                yield "".join(lines), is_rare
            lines, is_rare, next_is_rare = [line], next_is_rare, False
        elif line.startswith("--"):
            next_is_rare |= line.startswith(_RARE)
        elif lines:
            lines.append(line)
    if lines:
        yield "".join(lines), is_rare


def _short(statements: Iterable[str]) -> dict[str, tuple[Sequence[str], str]]:
    """Return the parameters of functions of one line, and what they return."""
    short: dict[str, tuple[Sequence[str], str]] = {}
    for found in filter(None, map(_SHORT.match, statements)):
        parameters, value = found["parameters"].split(", "), found["value"]
        names = _TOKENS.findall(value)
        # An argument is evaluated once, as in a call.
        is_once = all(names.count(parameter) == 1 for parameter in parameters)
        if is_once and len(_arguments(f"{value})", 0)[0]) == 1:
            short[found["name"]] = parameters, value
    return short


def _with_returned(text: str, short: Mapping[str, tuple[Sequence[str], str]]) -> str:
    """Write what functions of one line return in place of their calls."""
    done: list[str] = []
    end = 0
    for match in _TOKENS.finditer(text):
        # Calls within the arguments of another are replaced with it.
        is_call = text.startswith("(", match.end()) and not text.endswith("function ", 0, match.start())
        if not is_call or match.start() < end or match[1] not in short:
            continue
        parameters, value = short[match[1]]
        arguments, after = _arguments(text, match.end() + 1)
        sent = {name: f"({argument})" for name, argument in zip(parameters, arguments, strict=True)}
        done += text[end : match.start()], f"({_with_returned(_with_names(value, sent), short)})"
        end = after
    return "".join(done) + text[end:]


def _with_names(text: str, values: Mapping[str, str]) -> str:
    return _TOKENS.sub(lambda match: values.get(match[1], match[0]), text)


def _arguments(text: str, start: int) -> tuple[Sequence[str], int]:
    """Return the arguments of a call, the first of which starts there, and the place behind the call."""
    arguments: list[str] = []
    depth, first = 0, start
    for match in _SEPARATORS.finditer(text, start):
        if match[0] in ")}]":
            depth -= 1
        if depth < 0 or (depth == 0 and match[0] == ","):
            arguments.append(text[first : match.start()].strip())
            first = match.end()
        if depth < 0:
            return arguments, match.end()
        depth += match[0] in "({["
    raise ValueError(f"A call does not end: {text[start:]}")


def _users(statements: list[str], short: Mapping[str, tuple[Sequence[str], str]]) -> dict[int, set[int]]:
    """Return which statements use each of those that the last one needs; in these, replace calls of short functions."""
    definitions = defaultdict[str, list[int]](list)
    *shared, last = range(len(statements))
    users: dict[int, set[int]] = {}
    for place in shared:
        names = _defined(statements[place])
        for name in names:
            definitions[name].append(place)
        if not names:
            users[place] = set()
    remaining = [last, *users]
    while remaining:
        user = remaining.pop()
        statements[user] = _with_returned(statements[user], short)
        for name in _names(statements[user]):
            for place in definitions.get(name, ()):
                if place not in users:
                    users[place] = set()
                    remaining.append(place)
                users[place].add(user)
    return users


def _defined(statement: str) -> Sequence[str]:
    """Return the names that a statement defines."""
    match = _DEFINES.match(statement)
    return (match["locals"] or match["variable"] or match["function"]).split(", ") if match else ()


def _names(text: str) -> set[str]:
    """Return the names in a text; of a field of a table both."""
    names = {name for name in _TOKENS.findall(text) if name}
    return names | {name.partition(".")[0] for name in names}


def _common(paths: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the beginning that all paths have in common."""
    return tuple(steps[0] for steps in takewhile(lambda steps: len(set(steps)) == 1, zip(*paths, strict=False)))


def _with_values(text: str, constants: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        # A field of a table that is being made may have the name of a constant.
        is_field = text.startswith(" = ", match.end())
        known = None if is_field or not match[1] else constants.get(match[1])
        return match[0] if known is None else f"({known})" if " " in known else known

    return _TOKENS.sub(value, text)
