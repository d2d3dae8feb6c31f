"""The log of API and worker during an outage of Redis: address, problem and remedy, once and not per attempt."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.deployment import Deployment
from tests.support.ports import free_port
from tests.support.waiting import until

COMMAND = str(Path(sys.executable).parent / "claude-gateway")
# Seconds in which both try several times.
WATCHED = 6.0


def failures_in(text):
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "redis_failed"]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("part", ["api", "worker"])
@pytest.mark.parametrize(
    ("host", "code"), [("127.0.0.1", "REFUSED"), ("no-such-host.invalid", "NAME")], ids=["refused", "unknown"]
)
def test_a_store_down_at_the_start_is_logged_once(tmp_path, part, host, code):
    port, api_port = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "ANTHROPIC_API_KEY": "k",
        "REDIS_URL": f"redis://user:hush-hush@{host}:{port}/3?db=3", "PORT": str(api_port),
    }  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([COMMAND, part], cwd=tmp_path, env=environment, stdout=log, stderr=log)
    found = until(lambda: failures_in((tmp_path / "log").read_text()), within=30)
    time.sleep(WATCHED)  # no further line appears in this time
    for _ in range(5 if part == "api" else 0):
        assert httpx.post(f"http://127.0.0.1:{api_port}/api/query", json={"query": "q"}).status_code == 503
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    text = (tmp_path / "log").read_text()
    assert len(failures_in(text)) == 1
    assert (found[0]["redis"], found[0]["code"]) == (f"redis://{host}:{port}/3", code)
    assert "REDIS_URL" in found[0]["advice"]
    assert "hush" not in text
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.long
def test_a_store_outage_is_logged_once_by_api_and_worker_each(tmp_path, model):
    with Deployment(tmp_path, model.url, QUEUE_CONCURRENCY="2", LOG_FORMAT="json") as deployment:
        deployment.start_worker()
        deployment.wait_for_slots(2)
        deployment.redis.kill()
        time.sleep(WATCHED)
        text = (tmp_path / "log").read_text()
        found = [(line["code"], line["redis"]) for line in failures_in(text)]
        assert {code for code, _ in found} <= {"REFUSED", "BROKEN"}
        # One of each kind by the API and by the worker's pool, and none by slots and dispatchers.
        assert len(found) <= 4
        assert len(text.splitlines()) < 60
        deployment.redis.start()
        assert deployment.ask("again")["state"] == "completed"
