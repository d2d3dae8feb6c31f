"""Check which regular expressions of a JSON Schema the CLI can compile with JavaScript's `u` flag.

That flag refuses what most engines accept, such as `\\-` outside a class or a single `}`. The check is conservative: a
refused expression is only omitted for the model, and the gateway still validates the answer against it.
"""

import re

_CATEGORY = r"C[cfnos]?|L[ClmotuT]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?"
_ESCAPE = (
    r"\\(?:[dDwWsSfnrtv]|[\^$\\.*+?()\[\]{}|/]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,5}\}"
    rf"|c[A-Za-z]|[pP]\{{(?:{_CATEGORY})\}}|0(?![0-9]))"
)
_CLASS_PART = re.compile(rf"{_ESCAPE}|\\[-b]|[^\\\]]", re.DOTALL)
_TOKEN = re.compile(
    rf"""
    (?P<open>\((?:\?(?::|<(?P<name>[A-Za-z_][A-Za-z0-9_]*)>))?(?!\?)) | (?P<look>\(\?<?[=!]) | (?P<close>\))
    | (?P<quantifier>(?:[*+?]|\{{(?P<least>[0-9]{{1,9}})(?:,(?P<most>[0-9]{{0,9}}))?\}})\??)
    | (?P<other>\||\^|\$|\\[bB])
    | (?P<atom>{_ESCAPE}|\[\^?(?P<parts>(?:\\.|[^\\\]])*)\]|[^\\\^$*+?()\[\]{{}}|])
    """,
    re.VERBOSE | re.DOTALL,
)
# Escapes for several characters cannot end a range.
_MANY = re.compile(r"\\[dDwWsSpP]")


def compiles_in_javascript(pattern: str) -> bool:
    """Return whether an expression certainly compiles with JavaScript's `u` flag."""
    place, repeatable = 0, False
    groups: list[bool] = []
    names: set[str] = set()
    while place < len(pattern):
        token = _TOKEN.match(pattern, place)
        if token is None or not _fits(token, repeatable, groups, names):
            return False
        place = token.end()
        match token.lastgroup:
            case "open" | "look" as kind:
                groups.append(kind == "open")
                repeatable = False
            case "close":
                repeatable = groups.pop()
            case kind:
                repeatable = kind == "atom"
    return not groups


def _fits(token: re.Match[str], repeatable: bool, groups: list[bool], names: set[str]) -> bool:
    """Return whether a token is valid at its place; adds the name of a group to `names`."""
    match token.lastgroup:
        case "open":
            name = token["name"]
            is_new = name not in names
            names.add(name)
            return name is None or is_new
        case "close":
            return bool(groups)
        case "quantifier":
            return repeatable and not (token["most"] and int(token["most"]) < int(token["least"]))
        case "atom":
            return token["parts"] is None or _is_class(token["parts"])
        case _:
            return True


def _is_class(text: str) -> bool:
    """Return whether the content of a class is a list of characters and ascending ranges."""
    parts, place = [], 0
    while place < len(text):
        part = _CLASS_PART.match(text, place)
        if part is None:
            return False
        parts.append(part[0])
        place = part.end()
    index = 0
    while index < len(parts):
        if index + 2 < len(parts) and parts[index + 1] == "-":
            first, last = parts[index], parts[index + 2]
            if _MANY.match(first) or _MANY.match(last) or _code(first) > _code(last):
                return False
            index += 3
        else:
            index += 1
    return True


def _code(part: str) -> int:
    """Return the code point of a part of a class; escapes of control characters are 0."""
    if not part.startswith("\\"):
        return ord(part)
    if found := re.fullmatch(r"\\[xu]\{?([0-9A-Fa-f]+)\}?", part):
        return int(found[1], 16)
    return ord(part[1]) if not part[1].isalnum() else 0
