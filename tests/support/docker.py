"""Containers that a test starts, and stops by their id."""

import json
import os
import shutil
import subprocess
from ipaddress import ip_network
from types import TracebackType
from typing import Any, Self

import pytest

LAMBDA_IMAGE = "public.ecr.aws/lambda/python:3.13"


def need_docker() -> None:
    """Skip the test on a machine without Docker; fail it in CI."""
    done = shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False)
    if not done or done.returncode != 0:
        assert not os.environ.get("CI"), "Docker is not running"
        pytest.skip("Docker is not running")


def docker(*arguments: str, timeout: float = 120) -> str:
    """Run a Docker command and return its output."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, f"docker {arguments[0]}: {done.stderr}"
    return done.stdout.strip()


class Container:
    """A container on this machine's network; runs within a `with` block."""

    def __init__(self, image: str, *command: str, options: tuple[str, ...] = (), **variables: str) -> None:
        environment = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        self._arguments = ["--network", "host", *environment, *options, image, *command]

    def __enter__(self) -> Self:
        self.id = docker("run", "--detach", *self._arguments)
        return self

    def inspect(self) -> dict[str, Any]:
        """Return the output of `docker inspect`."""
        [found] = json.loads(docker("inspect", self.id))
        known: dict[str, Any] = found
        return known

    def log(self) -> str:
        """Return its log."""
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            error.add_note(self.log()[-4000:])
        docker("rm", "--force", "--volumes", self.id)


def bridge_address() -> str:
    """Return the address of this machine on Docker's bridge. Docker lists it only from its second start."""
    subnet = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}")
    return str(ip_network(subnet)[1])
