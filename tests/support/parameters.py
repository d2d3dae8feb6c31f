"""Parameters that `make test` leaves out, and those that `.ci/run` leaves out too."""

from collections.abc import Iterable
from typing import Any

import pytest

LONG = (pytest.mark.slow, pytest.mark.long)


def long(*values: Any) -> Any:
    """Return a parameter for `make slow` alone, where `.ci/run` has others of its kind."""
    return pytest.param(*values, marks=LONG)


def first_of(cases: Iterable[Any], count: int = 1) -> list[Any]:
    """Leave all cases but the first ones to `make slow` alone. A tuple is a case of several arguments."""
    chosen = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, marks=LONG if place >= count else ()) for place, case in enumerate(chosen)]
