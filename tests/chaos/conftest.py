"""The trials are bounded and use loopback only; each adds a row to the table that is printed at the end."""

from collections.abc import Iterator

import pytest

from tests.support.scripted_model import ScriptedModel


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="as long and as many as the trials are meant to be")


@pytest.fixture
def full(request) -> bool:
    """Whether the full trials are requested."""
    chosen: bool = request.config.getoption("--full")
    return chosen


@pytest.fixture
def row(request):
    """Add a row to the table: the trial, and the observation."""
    # A property of the report reaches the table from each process of pytest-xdist.
    return lambda trial, seen: request.node.user_properties.append(("row", (trial, seen)))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """A Messages API that answers each query with itself, unless a test scripts it."""
    with ScriptedModel(echo=True) as model:
        yield model


def pytest_terminal_summary(terminalreporter):
    reports = [
        one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, []) if one.when == "call"
    ]
    rows = [value for report in reports for name, value in report.user_properties if name == "row"]
    if rows:
        terminalreporter.section("what was tried, and what was seen")
        for trial, seen in rows:
            terminalreporter.line(f"{trial:<60} {seen}")
