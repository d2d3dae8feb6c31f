"""Every attack of the catalogue, as a tool of a run, through the public API."""

import pytest

from tests.redteam.catalogue import ATTACKS
from tests.redteam.conftest import CANARY, THE_END

# Attacks that share a run: to start one takes longer than most of them.
TOGETHER = 6


def run_all(target):
    """Run them all; return what each printed, by its name."""
    found: dict[str, str] = {}
    for first in range(0, len(ATTACKS), TOGETHER):
        attacks = ATTACKS[first : first + TOGETHER]
        job = target.run(*(attack.script for attack in attacks))
        assert job["state"] == "completed", job
        parts = job["output"].split(THE_END)
        assert len(parts) == len(attacks) + 1, job["output"]
        found |= {attack.name: part for attack, part in zip(attacks, parts, strict=False)}
    return found


@pytest.fixture(scope="module")
def output(target):
    return run_all(target)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_reaches_nothing(output, attack):
    assert "Traceback" not in output[attack.name]
    assert "BREACH" not in output[attack.name]
    assert CANARY not in output[attack.name]


def test_the_catalogue_has_no_attack_twice():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 40
