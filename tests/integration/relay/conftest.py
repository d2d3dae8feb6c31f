import pytest
import uvloop

from functions.worker.relay import retrying


def pytest_asyncio_loop_factories():
    """Use the event loop of a slot."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def folder(tmp_path_factory):
    """A directory with a short path, for a socket."""
    return tmp_path_factory.mktemp("r")


@pytest.fixture
def quick(monkeypatch):
    """Shorten the back-off."""
    monkeypatch.setattr(retrying, "_FIRST", 0.02)
