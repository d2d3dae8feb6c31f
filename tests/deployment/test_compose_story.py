"""The story of tests/support/story.py through the Compose stack, whose worker reaches a git server of this machine."""

import subprocess

import httpx
import pytest
import yaml

from local.up import COMPOSE_FILE, owner_of_data
from shared.sealing import new_pair
from tests.support.client import GatewayClient
from tests.support.docker import bridge_address, docker
from tests.support.gateway import ROOT
from tests.support.git_server import GitServer
from tests.support.scripted_model import ScriptedModel
from tests.support.socket_relay import PortRelay
from tests.support.story import check_that_a_failing_test_is_repaired

PROJECT = "claude-story"


class Stack(GatewayClient):
    """The gateway of a stack that is published on a port of this machine."""

    def __init__(self, port):
        self.log = []
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=40)


@pytest.mark.timeout(600)
def test_a_failing_test_is_repaired_in_containers(image, checkout, tmp_path):
    """Catches a worker's container that lacks git, the sandbox, or the object store that it shares with the API."""
    assert image == "claude-gateway:local"
    bridge = bridge_address()
    with (
        GitServer(tmp_path / "served", bridge) as server,
        ScriptedModel() as model,
        PortRelay(bridge, model.url) as way,
        PortRelay(bridge, f"http://{server.place}") as git_way,
    ):
        public, private = new_pair()
        variables = {
            "ADMIN_PASSWORD": "a-password-of-the-story", "ANTHROPIC_API_KEY": "key-of-the-story",
            "ANTHROPIC_BASE_URL": way.url, "API_REDIS_PASSWORD": "api-redis-of-the-story",
            "CLAUDE_TOOLS": "Bash,Read,Edit", "CREDENTIALS_PRIVATE_KEY": private, "CREDENTIALS_PUBLIC_KEY": public,
            "PORT": "0", "PROMETHEUS_PORT": "0", "QUEUE_CONCURRENCY": "1", "RUN_ALLOWED_NETWORKS": f"{bridge}/32",
            "RUN_SANDBOX": "required", "VALKEY_USER": owner_of_data(), "WEBHOOK_SECRET": "whsec_" + "dGVzdHM" * 8,
            "WORKERS": "1", "WORKER_REDIS_PASSWORD": "worker-redis-of-the-story",
        }  # fmt: skip
        (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        authority = server.write_authority(tmp_path / "ca.pem")
        authority.chmod(0o644)
        worker = {"environment": {"NODE_EXTRA_CA_CERTS": "/ca.pem"}, "volumes": [f"{authority}:/ca.pem:ro"]}
        (tmp_path / "also.yaml").write_text(yaml.safe_dump({"services": {"worker": worker}}))
        compose = (
            *("compose", "--project-name", PROJECT, "--env-file", str(tmp_path / "env")),
            *("--file", str(checkout / COMPOSE_FILE.relative_to(ROOT)), "--file", str(tmp_path / "also.yaml")),
        )
        try:
            docker(*compose, "up", "--detach", "--wait", "--wait-timeout", "120", "gateway", "worker", timeout=300)
            stack = Stack(docker(*compose, "port", "gateway", "3000").rpartition(":")[2])
            with stack.client:
                url = f"https://{git_way.url.removeprefix('http://')}/shop.git"
                check_that_a_failing_test_is_repaired(stack, model, server, url, tmp_path)
        except BaseException:
            subprocess.run(["docker", *compose, "logs", "--tail", "50", "worker"], check=False)
            raise
        finally:
            docker(*compose, "down", "--volumes", "--timeout", "10", timeout=120)
