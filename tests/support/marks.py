"""Parameters that `make test` leaves out, and those that `.ci/run` leaves out too."""

import pytest
from _pytest.mark import ParameterSet

SLOW = (pytest.mark.slow,)
LONG = (pytest.mark.slow, pytest.mark.long)


def long(*values: object) -> ParameterSet:
    """Return a parameter for `make slow` alone, where `.ci/run` has others of its kind."""
    return pytest.param(*values, marks=LONG)
