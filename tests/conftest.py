import asyncio
import os
import signal
from pathlib import Path

import pytest

# Apps in the tests' own process are called by these names; without keys only loopback hosts would be served.
os.environ.setdefault("ALLOWED_HOSTS", "gateway,testserver")

# Mangum sets an event loop when a handler is made, which is when its module is imported, and never closes it.
# One loop for all of them, which is closed at the end.
_mangums = asyncio.new_event_loop()
asyncio.set_event_loop(_mangums)

# A shell without job control starts `make test &` with SIGINT ignored, which every process below would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def script(model):
    """Set the replies of the model for one test."""
    before = model.reply

    def reply(function):
        model.reply = function

    yield reply
    model.reply = before


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Run the files with the longest timeouts first, so that several processes end at about the same time."""
    if not hasattr(config, "workerinput"):
        return
    longest: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        longest[item.path] = max(longest.get(item.path, 0), mark.args[0] if mark else 0)
    items.sort(key=lambda item: -longest[item.path])


def pytest_unconfigure(config: pytest.Config) -> None:
    _mangums.close()
