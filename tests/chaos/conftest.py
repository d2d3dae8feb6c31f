"""The trials are bounded and use loopback only; each adds a row to the table that is printed at the end."""

from collections.abc import Iterator

import pytest

from tests.support.scripted_model import ScriptedModel

_ROWS = pytest.StashKey[list[tuple[str, str]]]()


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="as long and as many as the trials are meant to be")


def pytest_configure(config):
    config.stash[_ROWS] = []


@pytest.fixture
def full(request) -> bool:
    """Whether the full trials are requested."""
    chosen: bool = request.config.getoption("--full")
    return chosen


@pytest.fixture
def row(request):
    """Add a row to the table: the trial, and the observation."""
    return lambda trial, seen: request.config.stash[_ROWS].append((trial, seen))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """A Messages API that answers each query with itself, unless a test scripts it."""
    with ScriptedModel(echo=True) as model:
        yield model


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[_ROWS]
    if rows:
        terminalreporter.section("what was tried, and what was seen")
        for trial, seen in rows:
            terminalreporter.line(f"{trial:<60} {seen}")
