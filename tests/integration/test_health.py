"""Health is right while workers and Redis come and go."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from local.embedded_redis import find_server
from tests.support.ports import free_port

COMMAND = str(Path(sys.executable).parent / "claude-gateway")


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*argv, **variables):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), **variables}
        process = subprocess.Popen(
            argv, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.terminate()
        process.wait(20)


def timed(client):
    before = time.monotonic()
    answer = client.get("/health")
    assert time.monotonic() - before < 2
    return answer.status_code, answer.json()["status"]


def until(client, expected):
    deadline = time.monotonic() + 30
    while True:
        try:
            seen = timed(client)
        except httpx.ConnectError:
            seen = None
        if seen == expected:
            return
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.long
def test_health_is_degraded_without_a_worker_and_down_without_redis(start, tmp_path):
    redis_port, port = str(free_port()), str(free_port())
    redis_command = [find_server(), "--port", redis_port, "--save", "", "--dir", str(tmp_path)]
    variables = {
        "PORT": port,
        "REDIS_PORT": redis_port,
        "QUEUE_CONCURRENCY": "1",
        "ANTHROPIC_API_KEY": "k",
        # Nobody listens there: runs fail without a request to another host.
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "SHUTDOWN_GRACE": "1",
    }

    start(COMMAND, "api", **variables)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5) as client:
        until(client, (503, "down"))
        refused = client.post("/api/query", json={"query": "x"})
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"]
        assert client.get("/health/live").status_code == 200

        redis = start(*redis_command)
        until(client, (200, "degraded"))
        assert client.post("/api/query", json={"query": "x"}).status_code == 202

        worker = start(COMMAND, "worker", **variables)
        until(client, (200, "ok"))

        worker.terminate()
        worker.wait(20)
        until(client, (200, "degraded"))

        redis.kill()
        redis.wait()
        until(client, (503, "down"))
        start(*redis_command)
        until(client, (200, "degraded"))


def test_health_responds_in_time_when_redis_hangs(start):
    port = str(free_port())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        start(COMMAND, "api", PORT=port, REDIS_PORT=str(mute.getsockname()[1]))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5) as client:
            until(client, (503, "down"))
