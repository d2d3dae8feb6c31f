"""How much one page of a list holds: so many bytes, whatever its items are."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel

T = TypeVar("T")

# Of the items as JSON. A Lambda function answers with 6 MB at most.
PAGE_BYTES = 1_048_576


def fitting(items: Iterable[T], size: Callable[[T], int], most: int = PAGE_BYTES) -> list[T]:
    """Return the first items that fit together on a page: one at least, and all when there is room."""
    page: list[T] = []
    total = 0
    for item in items:
        total += size(item)
        if page and total > most:
            break
        page.append(item)
    return page


def json_bytes(item: BaseModel) -> int:
    """Return the bytes that an item has as JSON in UTF-8, which is what a client receives."""
    return len(item.model_dump_json(by_alias=True).encode())
