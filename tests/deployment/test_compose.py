"""The Compose stack, driven by pytest-docker, with the demo model; Grafana's board is tested elsewhere."""

import json
import os
import subprocess

import httpx
import pytest

from local.up import COMPOSE_FILE, owner_of_data
from tests.support.client import GatewayClient
from tests.support.docker import docker
from tests.support.gateway import ROOT
from tests.support.streams import Stream

SECRETS = {
    "API_REDIS_PASSWORD": "api-redis-only-for-tests", "WORKER_REDIS_PASSWORD": "worker-redis-only-for-tests",
    "ADMIN_PASSWORD": "admin-only-for-tests", "WEBHOOK_SECRET": "whsec_" + "dGVzdHM" * 8,
}  # fmt: skip
# Any free port, so that a stack of the machine's own can run meanwhile.
PORTS = {"PORT": "0", "PROMETHEUS_PORT": "0"}
DEMO = {"ANTHROPIC_BASE_URL": "http://demo-model:8080", "ANTHROPIC_API_KEY": "key-of-the-cli"}


@pytest.fixture(scope="session")
def docker_compose_file(checkout):
    return checkout / COMPOSE_FILE.relative_to(ROOT)


@pytest.fixture(scope="session")
def docker_compose_command(image, tmp_path_factory):
    path = tmp_path_factory.mktemp("compose") / "env"
    variables = {**SECRETS, **PORTS, **DEMO, "VALKEY_USER": owner_of_data()}
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
    return f"docker compose --env-file {path} --profile demo"


@pytest.fixture(scope="session")
def docker_setup():
    return ["up --detach --wait --wait-timeout 120"]


@pytest.fixture(scope="session")
def docker_cleanup():
    return ["down --volumes --timeout 20"]


class Stack(GatewayClient):
    """The gateway of the stack, and its containers."""

    def __init__(self, services, project):
        self.services, self.project, self.log = services, project, []
        base = f"http://127.0.0.1:{services.port_for('gateway', 3000)}"
        self.client = httpx.Client(base_url=base, trust_env=False, timeout=40)

    def containers(self, service=None):
        wanted = ["--filter", f"label=com.docker.compose.project={self.project}"]
        wanted += ["--filter", f"label=com.docker.compose.service={service}"] if service else []
        return docker("ps", "--quiet", "--no-trunc", *wanted).splitlines()


@pytest.fixture(scope="module")
def stack(docker_services, docker_compose_project_name):
    stack = Stack(docker_services, docker_compose_project_name)
    yield stack
    stack.client.close()


def inspect(container):
    return json.loads(docker("inspect", container))[0]


def test_every_container_is_healthy_and_hardened(stack):
    found = [inspect(container) for container in stack.containers()]
    services = sorted(one["Config"]["Labels"]["com.docker.compose.service"] for one in found)
    assert services == ["demo-model", "gateway", "prometheus", "valkey", "worker", "worker"]
    assert {one["State"]["Health"]["Status"] for one in found} == {"healthy"}
    for one in found:
        host = one["HostConfig"]
        assert host["ReadonlyRootfs"], one["Name"]
        assert host["CapDrop"] == ["ALL"], one["Name"]
        options = set(host["SecurityOpt"])
        assert "no-new-privileges:true" in options, one["Name"]
        # A worker has what bubblewrap needs, and nothing that is privileged.
        is_worker = one["Config"]["Labels"]["com.docker.compose.service"] == "worker"
        assert any(option.startswith("seccomp=") for option in options) == is_worker, one["Name"]
        assert (host["MaskedPaths"] == []) == is_worker, one["Name"]
        assert not host["Privileged"], one["Name"]
        assert not host["CapAdd"], one["Name"]
        assert host["Memory"], one["Name"]
        assert host["PidsLimit"], one["Name"]


def test_a_query_is_answered_and_followed(stack):
    stream = Stream(stack.client, stack.submit("hello there")).to_the_end()
    streamed = "".join(json.loads(event.data)["text"] for event in stream.events if event.kind == "delta")
    assert json.loads(stream.events[-1].data)["result"]["response"] == streamed
    assert "[Demo model, not Claude]" in streamed


def test_a_key_is_made_in_the_image_that_serves(stack):
    [gateway] = stack.containers("gateway")
    made = json.loads(docker("exec", gateway, "claude-gateway", "keys", "create", "first", "--json"))
    assert set(made) == {"id", "name", "key", "webhookSecret"}


def kill_and_start(container):
    docker("kill", "--signal", "KILL", container)
    # Docker does not restart a container that a user has killed.
    docker("start", container)


@pytest.mark.parametrize("stop", [lambda one: docker("restart", one), kill_and_start], ids=["restart", "kill"])
def test_an_accepted_job_survives_a_restart_of_valkey(stack, stop):
    """Catches an ACL with which Valkey cannot replay its append-only file, which loses every job and key."""
    [gateway], [valkey] = stack.containers("gateway"), stack.containers("valkey")
    auth = ("admin", SECRETS["ADMIN_PASSWORD"])
    ended = stack.ask("hello before", cache={"mode": "bypass"})
    stack.client.post("/admin/api/queue/pause", auth=auth).raise_for_status()
    try:
        waiting = [stack.submit(f"kept {number}", cache={"mode": "bypass"}) for number in range(5)]
        made = json.loads(
            docker("exec", gateway, "claude-gateway", "keys", "create", f"kept {ended['jobId']}", "--json")
        )
        stop(valkey)
        stack.until(lambda: stack.client.get("/health").status_code, lambda status: status == 200, timeout=60)
        assert [stack.job(job_id)["state"] for job_id in waiting] == ["waiting"] * 5
        assert stack.job(ended["jobId"])["result"] == ended["result"]
        listed = json.loads(docker("exec", gateway, "claude-gateway", "keys", "list", "--json"))
        assert made["id"] in [one["id"] for one in listed]
        used = stack.client.get("/admin/api/callers", auth=auth).json()
        assert made["id"] in json.dumps(used)
    finally:
        stack.client.post("/admin/api/queue/resume", auth=auth).raise_for_status()
    assert {stack.finished(job_id)["state"] for job_id in waiting} == {"completed"}


def test_prometheus_scrapes_the_gateway(stack):
    base = f"http://127.0.0.1:{stack.services.port_for('prometheus', 9090)}"
    with httpx.Client(base_url=base, trust_env=False) as client:
        stack.until(
            lambda: [one["health"] for one in client.get("/api/v1/targets").json()["data"]["activeTargets"]],
            lambda health: health == ["up"],
        )


LOOK = """
import json, os, pathlib
me = pathlib.Path('/proc/self/status').read_text()
try:
    open('/written', 'w').close(); writable = True
except OSError:
    writable = False
seen = {}
for entry in pathlib.Path('/proc').iterdir():
    if entry.name.isdecimal() and int(entry.name) != os.getpid():
        try:
            seen[(entry / 'cmdline').read_text().replace(chr(0), ' ')] = (entry / 'environ').read_text()
        except OSError:
            pass
first = pathlib.Path('/proc/1/status').read_text()
print(json.dumps({'uid': os.getuid(), 'writable': writable, 'first': first, 'seen': seen}))
"""


def test_a_scan_of_the_running_worker_finds_no_right_and_no_secret(stack):
    for container in stack.containers("worker"):
        # As a tool of a run: the same user, and none of the container's own variables.
        clean = ["--env", "REDIS_URL=", "--env", "WEBHOOK_SECRET="]
        seen = json.loads(docker("exec", *clean, container, "python", "-c", LOOK))
        assert seen["uid"] == 10001
        assert not seen["writable"]
        rights = dict(
            line.split(":\t") for line in seen["first"].splitlines() if line.startswith(("Cap", "NoNewPrivs"))
        )
        assert rights.pop("NoNewPrivs") == "1"
        assert {int(value, 16) for value in rights.values()} == {0}
        environments = "\n".join(seen["seen"].values())
        assert "ANTHROPIC_UNIX_SOCKET" in environments  # the CLI's own, so the scan works
        assert "key-of-the-cli" not in environments
        assert not [name for name in SECRETS.values() if name in environments]


def test_a_job_of_a_killed_worker_runs_on_the_other(stack):
    [model] = stack.containers("demo-model")
    docker("pause", model)
    try:
        job = stack.submit("how much is 17 * 3?")
        auth = ("admin", SECRETS["ADMIN_PASSWORD"])
        found = stack.until(
            lambda: stack.client.get(f"/admin/api/jobs/{job}", auth=auth).json(), lambda seen: seen["state"] == "active"
        )
        [victim] = [one for one in stack.containers("worker") if found["slot"].startswith(one[:12])]
        docker("kill", victim)
    finally:
        docker("unpause", model)
    ended = stack.finished(job, timeout=60)
    assert (ended["state"], ended["attempts"]) == ("completed", 2)
    assert "51" in ended["result"]["response"]


def test_make_up_serves_and_make_down_leaves_nothing(image, checkout):
    project = f"claude-gateway-test-{os.getpid()}"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "COMPOSE_PROJECT_NAME": project,
        "PORT": "0",
        "PROMETHEUS_PORT": "0",
        "WORKERS": "1",
    }

    def make(target):
        done = subprocess.run(
            ["make", target], cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        ready = next(line for line in make("up").splitlines() if line.startswith("ready "))
        with httpx.Client(base_url=ready.split()[1], trust_env=False, timeout=40) as client:
            answer = client.post("/api/query", json={"query": "hello"}, headers={"Prefer": "wait=20"})
            assert (answer.status_code, answer.json()["state"]) == (200, "completed")
        assert (checkout / ".data/compose.env").stat().st_mode & 0o077 == 0
    finally:
        make("down")
    mine = ("--quiet", "--filter", f"label=com.docker.compose.project={project}")
    assert [docker(*kind, *mine) for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls"))] == ["", "", ""]
    assert not (checkout / ".data").exists()
