"""The same attacks on a run of the Compose stack's worker; `make redteam` runs them, and they need Docker."""

import subprocess
from collections.abc import Iterator

import httpx
import pytest

from local.up import COMPOSE_FILE, owner_of_data
from tests.redteam.catalogue import ATTACKS
from tests.redteam.conftest import CANARY, Target
from tests.redteam.test_attacks import run_all
from tests.support.docker import bridge_address, docker, need_docker
from tests.support.gateway import ROOT
from tests.support.scripted_model import ScriptedModel
from tests.support.socket_relay import PortRelay

PROJECT = "claude-redteam"


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if not request.config.getoption("--full"):
        pytest.skip("needs --full")
    need_docker()
    docker("build", "--network", "host", "--quiet", "--tag", "claude-gateway:local", str(ROOT), timeout=900)
    bridge = bridge_address()
    env_file = tmp_path_factory.mktemp("compose") / "env"
    compose = ("compose", "--project-name", PROJECT, "--env-file", str(env_file), "--file", str(COMPOSE_FILE))
    with ScriptedModel() as model, PortRelay(bridge, model.url) as way:
        variables = {
            "ADMIN_PASSWORD": f"{CANARY}-admin", "ANTHROPIC_API_KEY": f"sk-ant-{CANARY}", "ANTHROPIC_BASE_URL": way.url,
            "API_REDIS_PASSWORD": f"{CANARY}-api", "CLAUDE_TOOLS": "Bash", "PORT": "0", "PROMETHEUS_PORT": "0",
            "QUEUE_CONCURRENCY": "1", "RUN_ALLOWED_HOSTS": "localhost,valkey", "RUN_SANDBOX": "required",
            "VALKEY_USER": owner_of_data(),
            "WEBHOOK_SECRET": "whsec_" + "Y2FuYXJ5LTVmMWUwYzJiY2FuYXJ5LTVmMWUwYzJi", "WORKERS": "1",
            "WORKER_REDIS_PASSWORD": f"{CANARY}-worker",
        }  # fmt: skip
        env_file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
        try:
            docker(*compose, "up", "--detach", "--wait", "--wait-timeout", "120", "gateway", "worker", timeout=300)
            port = docker(*compose, "port", "gateway", "3000").rpartition(":")[2]
            worker = docker(*compose, "ps", "--quiet", "worker").split()[0]
            facts = {
                "TARGET_ROOT": "/app",
                "TARGET_PACKAGES": docker("exec", worker, "python", "-c", "import redis; print(redis.__path__[0])"),
                "TARGET_FOLDER": "/app",
                "TARGET_RUNS": docker("exec", worker, "sh", "-c", "echo /work/claude-worker-*"),
                "TARGET_SPOOL": "/spool",
                "TARGET_HOME": "/nonexistent",
                "TARGET_PIDS": "",
                "TARGET_PORTS": "6379 3000",
                "TARGET_HOST": "valkey",
            }
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=40) as client:
                assert client.get("/health").json()["sandbox"] == "namespaces"
                yield Target(client, model, facts)
        except BaseException:
            subprocess.run(["docker", *compose, "logs", "--tail", "50", "worker"], check=False)
            raise
        finally:
            docker(*compose, "down", "--volumes", "--timeout", "10", timeout=120)


@pytest.fixture(scope="module")
def output(target):
    return run_all(target)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_reaches_nothing_in_a_container(output, attack):
    assert "Traceback" not in output[attack.name]
    assert "BREACH" not in output[attack.name]
    assert CANARY not in output[attack.name]
