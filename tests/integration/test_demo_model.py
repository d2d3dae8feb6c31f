import json
import os
import signal
import subprocess
import sys

import httpx
import pytest

from local.demo_answers import LABEL
from tests.support.processes import running
from tests.support.real_cli import ask_real_cli

COMMAND = [sys.executable, "-m", "local.demo_model", "--port", "0"]


@pytest.fixture
def demo_process():
    with running(subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True)) as process:
        yield process


@pytest.fixture
def demo_url(demo_process):
    line = demo_process.stdout.readline()
    assert line.startswith("listening http://127.0.0.1:")
    return line.removeprefix("listening ").strip()


@pytest.mark.slow
@pytest.mark.long
def test_the_real_cli_gets_a_labeled_answer_of_the_demo_model(demo_url, tmp_path):
    envelope = ask_real_cli("What is 2+2?", demo_url, tmp_path)
    assert envelope["is_error"] is False
    assert envelope["result"] == f"{LABEL} 2+2 = 4"
    assert envelope["usage"]["input_tokens"] > 0


def test_the_real_cli_gets_structured_output_that_satisfies_its_schema(demo_url, tmp_path):
    schema = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "required": ["kind"]}
    envelope = ask_real_cli("classify this", demo_url, tmp_path, "--json-schema", json.dumps(schema))
    assert envelope["structured_output"] == {"kind": "a"}


def test_a_streamed_answer_equals_the_whole_one(demo_url):
    request = {"model": "m", "messages": [{"role": "user", "content": "tell me more"}]}
    streamed = httpx.post(f"{demo_url}/v1/messages?beta=true", json={**request, "stream": True})
    whole = httpx.post(f"{demo_url}/v1/messages", json=request).json()
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")]
    pieces = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert len(pieces) > 3
    assert "".join(pieces) == whole["content"][0]["text"]


def test_other_endpoints_respond_and_a_broken_body_is_refused(demo_url):
    request = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}
    assert httpx.post(f"{demo_url}/v1/messages/count_tokens", json=request).json()["input_tokens"] >= 100
    assert httpx.get(f"{demo_url}/v1/models").json()["data"][0]["id"] == "demo-model"
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        refused = httpx.post(f"{demo_url}{path}", content=b"{")
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_while_a_client_is_connected(demo_process, demo_url, number):
    with httpx.Client() as client:
        client.get(f"{demo_url}/v1/models")
        demo_process.send_signal(number)
        assert demo_process.wait(timeout=5) == 0
    assert demo_process.stdout.read() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of a parent's death on Linux only")
def test_it_ends_when_its_parent_is_killed():
    # The demo model inherits standard output, so end of file there means that it has ended too.
    starter = f"import subprocess, sys; subprocess.run({COMMAND!r})"
    with running(subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("listening")
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.stdout.read() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of a parent's death on Linux only")
def test_it_does_not_start_when_its_parent_is_already_gone():
    run = subprocess.run([*COMMAND, "--parent", "1"], capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stdout) == (0, "")
