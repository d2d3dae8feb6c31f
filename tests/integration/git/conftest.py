import base64
import os
from ipaddress import ip_network

import pytest

from functions.worker.git.shell import Shell
from functions.worker.relay import git as relayed
from functions.worker.relay.git import GitAccess
from functions.worker.sandbox import bubblewrap
from functions.worker.sandbox.confine import Sandbox
from shared.egress.targets import Target
from tests.support.git_server import PASSWORD, USER, GitServer

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture(params=["namespaces", "off"])
def shell(request, tmp_path):
    """A run's directory with an empty working directory."""
    root = tmp_path / "root"
    (root / "work").mkdir(parents=True)
    return Shell(Sandbox(request.param, bubblewrap.program()), root, 1 << 30)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A git server that the relay trusts."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with GitServer(tmp_path / "served") as server:
        monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(server.write_authority(tmp_path / "ca.pem")))
        relayed._context.cache_clear()
        yield server
    relayed._context.cache_clear()


@pytest.fixture
def access(server):
    """Return what a relay lets git do with a repository of the server."""

    def access(name="a", credential=f"{USER}:{PASSWORD}", push=None):
        target = Target("127.0.0.1", int(server.place.rpartition(":")[2]))
        authorization = f"Basic {base64.b64encode(credential.encode()).decode()}" if credential else ""
        return GitAccess(target, f"{server.place}/{name}.git", f"/{name}.git", authorization, push)

    return access


@pytest.fixture(autouse=True)
def _no_leftovers():
    assert "GIT_DIR" not in os.environ
