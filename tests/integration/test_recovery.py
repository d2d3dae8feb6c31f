"""A worker that vanishes: its job runs again once, and nothing is left behind."""

import json
import signal
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.scripted_model import Hang, Text, ToolUse


@pytest.fixture(scope="module")
def variables():
    return {"DEDUP_ENABLED": "true", "CLAUDE_TOOLS": "Bash"}


def slot_of(gateway, cli):
    """Return the process of the slot that runs a CLI."""
    return psutil.Process(cli.pid).parent()


@pytest.mark.once
@pytest.mark.slow
def test_a_job_of_a_killed_slot_runs_again_for_all_joined_submissions(gateway, model, script):
    never = threading.Event()
    script(lambda body: Hang(until=never))
    submitted = [gateway.client.post("/api/query", json={"query": "survive"}).json() for _ in range(20)]
    assert len({answer["jobId"] for answer in submitted}) == 1
    cli = gateway.until(gateway.running, bool)[0]
    script(lambda body: Text("again"))
    slot_of(gateway, cli).send_signal(signal.SIGKILL)
    # Only the slot was killed: its children are found and ended too.
    psutil.wait_procs([cli], timeout=10)
    assert not cli.is_running()
    job = gateway.finished(submitted[0]["jobId"], timeout=40)
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "again", 2)
    never.set()


@pytest.mark.slow
@pytest.mark.once
def test_nothing_is_left_of_a_run_whose_slot_is_killed(gateway, model, script):
    # Without its slot nothing may go on: neither tools, nor the CLI, nor a request that Claude is paid for.
    never, killed = threading.Event(), threading.Event()

    def reply(body):
        if killed.is_set():
            return Text("again")
        if "tool_result" not in json.dumps(body["messages"]):
            return ToolUse("Bash", {"command": "setsid tail -f /dev/null > /dev/null 2>&1 &"})
        return Hang(until=never)

    script(reply)
    job_id = gateway.submit("asks Claude when its slot is killed", tools=["Bash"])
    tools = gateway.until(lambda: tools_of(gateway), bool)
    cli = gateway.until(gateway.running, bool)[0]
    slot, directory, port = slot_of(gateway, cli), Path(cli.cwd()).parent, int(model.url.rpartition(":")[2])
    requests = gateway.until(lambda: connected_to(port, slot), bool)
    assert (directory / "given/relay").is_socket()
    killed.set()
    slot.kill()
    _, left = psutil.wait_procs([cli, *tools], timeout=10)
    assert left == []
    job = gateway.finished(job_id, timeout=40)
    assert (job["state"], job["result"]["response"], job["attempts"]) == ("completed", "again", 2)
    assert not directory.exists()
    assert not any(requests & connected_to(port, process) for process in gateway.processes())
    assert tools_of(gateway) == []
    never.set()


def tools_of(gateway):
    """Return the processes of the tool."""
    found = []
    for process in gateway.processes():
        with suppress(psutil.NoSuchProcess):
            found += [process] if process.cmdline() == ["tail", "-f", "/dev/null"] else []
    return found


def connected_to(port, process):
    """Return the local ports of a process's connections to a port."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return {one.laddr.port for one in process.net_connections("tcp") if one.raddr and one.raddr.port == port}
    return set()
