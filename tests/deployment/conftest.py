import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.embedded_redis import find_server
from tests.support.docker import LAMBDA_IMAGE, docker, need_docker
from tests.support.gateway import ROOT
from tests.support.redis_server import RedisServer
from tests.support.sam import SAM, run_sam


@pytest.fixture(scope="session", autouse=True)
def _docker() -> None:
    need_docker()


@pytest.fixture(scope="session")
def sam() -> None:
    """Skip tests that need SAM where it is not installed; the tests of Compose need none."""
    if not SAM.exists():
        assert not os.environ.get("CI"), "sam is not installed: make deployment installs it"
        pytest.skip("sam is not installed: make deployment installs it")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git tracks, which a test may change."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    copy = tmp_path_factory.mktemp("checkout")
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def build(sam, checkout) -> Path:
    """The output of `sam build`: a directory for each function."""
    run_sam("build", "--config-file", "samconfig.toml", cwd=checkout)
    return Path(checkout / ".aws-sam/build")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisServer]:
    """A Redis of this machine that containers reach as host.docker.internal."""
    # The address is read in a container: a daemon on its first start does not know that of its bridge.
    seen = ("--rm", "--add-host", "host:host-gateway", "--entrypoint", "getent", LAMBDA_IMAGE, "hosts", "host")
    address = docker("run", *seen).split()[0]
    with RedisServer(find_server(), tmp_path_factory.mktemp("redis"), also=address) as server:
        yield server


@pytest.fixture(scope="session")
def image(checkout) -> str:
    """The gateway's image, built from the checkout."""
    docker(
        *("build", "--network", "host", "--quiet", "--file", str(checkout / "Dockerfile")),
        *("--tag", "claude-gateway:local", str(checkout)),
        timeout=600,
    )
    return "claude-gateway:local"
