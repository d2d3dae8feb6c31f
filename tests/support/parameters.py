"""Parameters of which `make test` runs the first, and `make slow` all."""

from collections.abc import Iterable
from typing import Any

import pytest


def first_of(cases: Iterable[Any], count: int = 1, *, is_long: bool = False) -> list[Any]:
    """Mark all cases but the first ones as slow; with `is_long` as long too. A tuple is a case of several arguments."""
    marks = [pytest.mark.slow, pytest.mark.long] if is_long else [pytest.mark.slow]
    chosen = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, marks=marks if place >= count else ()) for place, case in enumerate(chosen)]
