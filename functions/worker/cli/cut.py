"""The input and the output of a step, cut to a size: a tool can write to the CLI's output, so any value may come."""

import json
import math
from typing import Any

from shared.api.steps import MAX_STEP_BYTES, for_step

# Levels of an input, and entries of one of its objects or arrays, that are looked at.
_DEEPEST, _MOST_ENTRIES = 16, 200
_LARGEST_INTEGER = 2**53 - 1
_LONGEST_KEY = 200


def cut_input(value: Any, limit: int = MAX_STEP_BYTES) -> tuple[dict[str, Any], bool]:
    """Return the input of a tool, at most `limit` bytes of JSON, and whether a part of it was left out.

    Long texts are shortened first; an input that is too large without them loses its last entries.
    """
    if not isinstance(value, dict):
        return {}, value is not None
    longest = limit
    while longest >= 64:
        found, is_cut = _bounded(value, longest, _DEEPEST)
        if _size(found) <= limit:
            return found, is_cut
        longest //= 2
    while found and _size(found) > limit:
        for name in list(found)[-max(1, len(found) // 4) :]:
            del found[name]
    return found, True


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _bounded(value: Any, longest: int, levels: int) -> tuple[Any, bool]:
    """Return a value of JSON with bounded texts, numbers, entries and levels, and whether a part was left out."""
    match value:
        case str():
            return for_step(value, longest)
        case bool() | None:
            return value, False
        case int() if abs(value) <= _LARGEST_INTEGER:
            return value, False
        case float() if math.isfinite(value):
            return value, False
        case dict() if levels:
            found, is_cut = {}, len(value) > _MOST_ENTRIES
            for name, one in list(value.items())[:_MOST_ENTRIES]:
                shown, is_name_cut = for_step(str(name), _LONGEST_KEY)
                found[shown], is_one_cut = _bounded(one, longest, levels - 1)
                is_cut |= is_name_cut or is_one_cut
            return found, is_cut
        case list() if levels:
            items = [_bounded(one, longest, levels - 1) for one in value[:_MOST_ENTRIES]]
            return [one for one, _ in items], len(value) > len(items) or any(cut for _, cut in items)
        case _:
            return None, True
