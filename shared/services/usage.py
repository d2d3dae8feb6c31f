"""Usage as rows, for the API and for spreadsheets."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal

import redis.asyncio

from shared.api.errors import FieldError, InvalidRequest
from shared.api.times import rfc3339
from shared.store.callers import usage

By = Literal["date", "caller", "key", "model", "tag"]
# Rows of an answer, which in Lambda has at most 6 MB.
MOST_ROWS = 20_000
_DAY = 86_400_000
# What begins a formula, also in full width.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_AMOUNTS = {
    "jobs": "jobs",
    "costUsd": "cost",
    "savedUsd": "saved",
    "inputTokens": "input",
    "outputTokens": "output",
    "cacheReadTokens": "cache_read",
    "cacheCreationTokens": "cache_creation",
}


async def usage_rows(
    client: redis.asyncio.Redis, days: int, by: Sequence[By], *, caller: str | None = None
) -> list[dict[str, Any]]:
    """Return the usage of the last `days` days of a caller, or of all, by some fields; raises InvalidRequest."""
    fields = ["day" if name == "date" else name for name in by]
    _, found = await usage.read(client, days, fields, caller)
    if len(found) > MOST_ROWS:
        message = f"the answer would have more than {MOST_ROWS} rows: ask for fewer days, or by fewer fields"
        raise InvalidRequest(f"days: {message}", errors=(FieldError("/days", message),))
    return [
        {**{name: _shown(group, name) for name in by}, **{name: _amount(one, what) for name, what in _AMOUNTS.items()}}
        for group, one in found.items()
    ]


def _shown(group: usage.Group, name: By) -> str:
    if name == "date":
        return rfc3339((group.day or 0) * _DAY)[:10]
    value: str = getattr(group, name)
    return value


def _amount(one: usage.Usage, what: str) -> float:
    value: float = getattr(one, what)
    return value if what in {"cost", "saved"} else int(value)


def to_csv(rows: Sequence[dict[str, Any]], by: Sequence[By]) -> str:
    """Write rows as CSV. A text that a spreadsheet could take for a formula begins with an apostrophe."""
    written = io.StringIO()
    table = csv.DictWriter(written, [*by, *(name for name in rows[0] if name not in by)] if rows else [*by, *_AMOUNTS])
    table.writeheader()
    table.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return written.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.lstrip()[:1] in _FORMULA else value
