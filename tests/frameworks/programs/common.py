"""The parts that the programs of this folder share: each calls a gateway through one framework."""

import json
import sys
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

URL, MODEL = sys.argv[1], "claude-sonnet-5-5"
QUESTION = "What is 2+2?"


class Number(BaseModel):
    """The structured answer."""

    n: int


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


def report(**calls: Callable[[], Any]) -> None:
    """Make the calls, and print a line of JSON: the result of each, or its error."""
    results = {}
    for name, call in calls.items():
        try:
            results[name] = call()
        except Exception as error:  # noqa: BLE001 -- an error is a result
            results[name] = f"{type(error).__name__}: {error}"[:500]
    print(json.dumps(results))


def number(found: Any) -> Any:
    """Return the number of a structured answer."""
    return found.n if isinstance(found, Number) else found
