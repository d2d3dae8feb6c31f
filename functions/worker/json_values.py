"""Bounds the memory that parsing takes: a few bytes of JSON text can become a hundred times as many."""

import re

_SEPARATORS = (b",", b"[", b"{")
# Possessive: a string of many escapes takes no memory for backtracking.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def count_values(data: bytes) -> int:
    """Return a bound of the number of values in JSON text."""
    return sum(map(data.count, _SEPARATORS))


def has_more_values(data: bytes, most: int) -> bool:
    """Return whether JSON text has more values than a limit; what is in a string does not count."""
    if count_values(data) <= most:
        return False
    found, at = 0, 0
    for string in _STRING.finditer(data):
        found += 1 + sum(data.count(one, at, string.start()) for one in _SEPARATORS)
        if found > most:
            return True
        at = string.end()
    return found + count_values(data[at:]) > most
