import asyncio
import os
import signal

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


def pytest_unconfigure(config: pytest.Config) -> None:
    _mangums.close()
