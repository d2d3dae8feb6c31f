"""Attacks on MCP servers: those of the run, and those of other jobs."""

import json
import socket
from contextlib import suppress

import psutil
import pytest

from tests.redteam.catalogue import MCP_ATTACKS
from tests.redteam.conftest import CANARY, THE_END
from tests.support.mcp_run import QUICK
from tests.support.waiting import until

# Writes a message into the output of every process that the tool can reach, by its name and by its descriptor.
FORGE = """
for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
    handle = call(434, pid, 0)
    output = call(438, handle, 1, 0) if handle >= 0 else -1
    try:
        if output < 0:
            output = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
        os.write(output, FORGED)
    except OSError as error:
        print(pid, output, error)
"""


def servers_of(gateway):
    """Return the processes of MCP servers of a gateway."""
    found = []
    for one in gateway.processes():
        with suppress(psutil.Error):  # it has ended
            found += [one.pid] if str(QUICK) in one.cmdline() else []
    return found


@pytest.fixture(scope="module")
def output(target):
    """Let a run with all servers try every attack; return what each printed, by its name."""
    pids = " ".join(map(str, until(lambda: servers_of(target.gateway))))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        facts = f'env["TARGET_SERVERS"], env["TARGET_MCP_PORT"] = "{pids}", "{listening.getsockname()[1]}"\n'
        job = target.run(*(facts + attack.script for attack in MCP_ATTACKS), mcpServers=["own", "warm"])
    assert job["state"] == "completed", job
    assert "mcp" in job, "the run has its servers"
    assert job["mcp"].get("unavailable", []) == []
    return dict(zip([attack.name for attack in MCP_ATTACKS], job["output"].split(THE_END), strict=False))


@pytest.mark.parametrize("attack", MCP_ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_on_mcp_servers_reaches_nothing(output, attack):
    assert "Traceback" not in output[attack.name]
    assert "BREACH" not in output[attack.name]
    assert CANARY not in output[attack.name]


@pytest.fixture
def forge(target, tmp_path):
    """Return a function that forges a call, and says whether the tool was called."""

    def forged(server, mine):
        sign = tmp_path / server
        call = {"name": "hang", "arguments": {"sign": str(sign)}}
        message = {"jsonrpc": "2.0", "id": "forged", "method": "tools/call", "params": call}
        request = {"subtype": "mcp_message", "server_name": server, "message": message}
        control = {"type": "control_request", "request_id": "forged", "request": request}
        script = f"FORGED = {(chr(10) + json.dumps(control) + chr(10)).encode()!r}\n{FORGE}"
        job = target.run(script, mcpServers=mine)
        assert THE_END in job["output"], job
        assert "Traceback" not in job["output"]
        return sign.exists()

    return forged


def test_a_forged_message_reaches_only_servers_and_tools_of_its_job(forge):
    assert forge("own", ["own"]), "a tool can forge messages at all"
    assert not forge("other", ["own"])
    assert not forge("warm", ["own"])
    assert not forge("narrow", ["narrow"])


def test_servers_of_runs_end_with_them_and_shared_ones_stay(target):
    target.run("pass", mcpServers=["own", "warm"])
    warm = until(lambda: (found := set(servers_of(target.gateway))) and len(found) == 2 and found)
    target.run("pass", mcpServers=["own", "warm"])
    until(lambda: set(servers_of(target.gateway)) == warm)
