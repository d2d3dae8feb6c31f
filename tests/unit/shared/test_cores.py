"""The cores of a process, by its affinity and the limit of its container."""

import os

import pytest

from shared.host import cores

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("50000 100000", 0.5), ("max 100000", ALL), ("99999999 100000", ALL), ("", ALL), ("a b", ALL), ("1 0", ALL)],
)
def test_the_limit_of_a_container_counts(tmp_path, limit, expected):
    """Catches a container of half a core that starts as many processes as its machine has cores."""
    file = tmp_path / "cpu.max"
    file.write_text(limit + "\n")
    assert cores.available(file) == expected


def test_a_machine_without_such_limits_has_all_its_cores(tmp_path):
    assert cores.available(tmp_path / "nothing") == ALL
