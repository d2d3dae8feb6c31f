"""Pages of lists, limited by the bytes of their items."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel

T = TypeVar("T")

# The items of a page as JSON. The response of a Lambda function is at most 6 MB.
PAGE_BYTES = 1_048_576


def fitting(items: Iterable[T], size: Callable[[T], int], limit: int = PAGE_BYTES) -> list[T]:
    """Return the first items that fit on a page, at least one."""
    page: list[T] = []
    total = 0
    for item in items:
        total += size(item)
        if page and total > limit:
            break
        page.append(item)
    return page


def json_bytes(item: BaseModel) -> int:
    """Return the size of an item in bytes, as the JSON in UTF-8 that a client receives."""
    return len(item.model_dump_json(by_alias=True).encode())
