"""The sandbox of a run, with bubblewrap and the real CLI; the network is a Unix socket to a scripted model."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from claude_agent_sdk import ClaudeSDKClient, ResultMessage, ToolResultBlock, UserMessage

from functions.worker.cli.environment import for_run
from functions.worker.cli.options import options_for
from functions.worker.cli.plan import plan_for
from functions.worker.cli.workspace import Workspace
from functions.worker.sandbox import bubblewrap, network, system
from functions.worker.sandbox.policy import CONFIG, GIVEN, HOME, PLACES, TEMPORARY, Policy, slot_variables
from functions.worker.sandbox.probe import probe
from shared.configuration.settings import WorkerSettings
from shared.host import processes
from tests.support.processes import leave_orphans
from tests.support.real_cli import REAL_CLI
from tests.support.scripted_model import ScriptedModel, Text, ToolUse
from tests.support.socket_relay import SocketRelay

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


@pytest.fixture
def policy(tmp_path):
    for name in (*PLACES, "launcher"):
        (tmp_path / name).mkdir()
    system.write_etc(tmp_path / "etc")
    return Policy(cli=REAL_CLI, root=tmp_path, etc=tmp_path / "etc")


def launcher(policy, tmp_path, given=()):
    bwrap = bubblewrap.program()
    assert bwrap is not None
    return bubblewrap.write_launcher(tmp_path / "launcher", bwrap, policy, slot_variables(given))


def run(policy, tmp_path, script):
    """Run a script of the shell in the sandbox, and return what it printed."""
    shell = replace(policy, cli=Path("/bin/sh"))
    command = [launcher(shell, tmp_path), "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def test_the_probe_finds_that_this_machine_can_make_one():
    assert probe(REAL_CLI).kind == "namespaces"


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("bwrap: No permissions to creating new namespace, likely because …", "may not create user namespaces"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"),
        ("bwrap: setting up uid map: Permission denied", "may not create user namespaces"),
        ("bwrap: Creating new namespace failed: No space left on device", "max_user_namespaces is 0"),
        ("bwrap: Unknown option --disable-userns", "older than 0.8"),
        ("Segmentation fault", "RUN_READ_PATHS"),
    ],
)
def test_the_probe_says_what_is_missing(printed, reason, tmp_path, monkeypatch):
    broken = tmp_path / "bwrap"
    broken.write_text(f'#!/bin/sh\necho "{printed}" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "program", lambda: broken)
    found = probe(REAL_CLI)
    assert found.kind == "unavailable"
    assert reason in found.reason


def test_the_probe_says_that_bubblewrap_is_not_installed(monkeypatch):
    monkeypatch.setattr(bubblewrap, "program", lambda: None)
    assert "not installed" in probe(REAL_CLI).reason


def test_the_probe_listens_in_a_sandbox_and_leaves_nothing():
    leave_orphans()
    before = processes.children(os.getpid())
    assert probe(REAL_CLI, has_network=True).kind == "namespaces"
    assert set(processes.children(os.getpid())) <= set(before)


@pytest.mark.parametrize("error", [PermissionError(1, "Operation not permitted"), TimeoutError()])
def test_the_probe_finds_a_network_that_cannot_be_entered(error, monkeypatch):
    """Catches a worker that takes jobs with hosts, and fails each with `server_error`."""
    monkeypatch.setattr(network, "listen", AsyncMock(side_effect=error))
    found = probe(REAL_CLI, has_network=True)
    assert found.kind == "unavailable"
    assert "RUN_ALLOWED_HOSTS" in found.reason
    assert probe(REAL_CLI).kind == "namespaces"


def test_the_probe_names_a_cli_that_the_sandbox_has_no_interpreter_for(tmp_path):
    cli = tmp_path / "claude"
    cli.write_text("#!/nowhere/node\n")
    cli.chmod(0o755)
    assert "RUN_READ_PATHS" in probe(cli).reason


def test_the_first_process_shows_nothing_of_the_slot(policy, tmp_path, monkeypatch):
    # Its environment and command line are those that bubblewrap was started with, whatever it sets for the CLI.
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-hunter2")
    shown = run(policy, tmp_path, "cat /proc/1/environ /proc/1/cmdline /proc/self/environ; env")
    assert "hunter2" not in shown
    assert str(tmp_path) not in shown


def test_only_the_processes_of_the_run_are_seen(policy, tmp_path):
    pids = run(policy, tmp_path, "ls -d /proc/[0-9]* | wc -l").strip()
    assert int(pids) < 6


def test_the_directories_of_the_worker_are_not_there(policy, tmp_path):
    for place in (str(Path.cwd()), str(tmp_path), sys.prefix, "/root", "/var", "/sys", "/etc/shadow", "/boot", "/mnt"):
        assert "No such file" in run(policy, tmp_path, f"ls {place}"), place


def test_the_kernels_settings_take_no_writes(policy, tmp_path):
    # A gateway that runs as root could otherwise have a program of the run's executed outside.
    for place in ("sys/kernel/core_pattern", "sys/vm/panic_on_oom", "self/oom_score_adj"):
        assert "Read-only" in run(policy, tmp_path, f": >> /proc/{place}"), place


def test_nothing_is_writable_but_the_directories_of_the_run(policy, tmp_path):
    writable = run(
        policy,
        tmp_path,
        "for d in $(find / -xdev -type d 2>/dev/null; ls -d /*); do touch $d/probe 2>/dev/null && echo $d; done",
    )
    assert set(writable.split()) <= {"/work", "/home/claude", "/tmp", "/config"}
    assert "/work" in writable
    assert (tmp_path / "work" / "probe").exists()
    assert not (tmp_path / "given" / "probe").exists()


def test_a_file_is_bounded(policy, tmp_path):
    small = replace(policy, largest=1 << 20)
    run(small, tmp_path, "head -c 5000000 /dev/zero > /work/large")
    assert (tmp_path / "work" / "large").stat().st_size == 1 << 20


def test_no_interface_but_loopback_and_no_address_leads_out(policy, tmp_path):
    assert run(policy, tmp_path, "ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1").split() == [
        "lo"
    ]


@pytest.mark.parametrize(
    "call",
    [
        "unshare -U true", "unshare -m true", "mount -t tmpfs none /tmp", "nsenter -t 1 -m true",
        "chroot /tmp /bin/true",
        "python3 -c 'import socket; socket.socket(17, 3)'", "python3 -c 'import socket; socket.socket(40, 1)'",
        "python3 -c 'import socket; socket.socket(2, 3, 1)'", "python3 -c 'import os; os.memfd_create(\"a\")'",
        "date -s 2020-01-01", "dmesg", "mknod /work/sda b 8 0",
    ],
)  # fmt: skip
def test_the_kernel_refuses_what_a_tool_never_needs(policy, tmp_path, call):
    assert "refused" in run(policy, tmp_path, f"{call} >/dev/null 2>&1 || echo refused")


def test_a_hidden_directory_within_a_readable_one_is_empty(policy, tmp_path):
    tools = tmp_path / "tools"
    (tools / "secret").mkdir(parents=True)
    (tools / "secret" / "key").write_text("hunter2")
    (tools / "compiler").write_text("compiler")
    open_ = replace(policy, read=(tools,), hidden=(tools / "secret",))
    shown = run(open_, tmp_path, f"cat {tools}/compiler {tools}/secret/key; touch {tools}/x {tools}/secret/x")
    assert "compiler" in shown
    assert "hunter2" not in shown
    assert shown.count("Read-only") == 2


def test_all_that_a_run_started_ends_with_it(policy, tmp_path):
    shell = replace(policy, cli=Path("/bin/sh"))
    script = "setsid sleep 1234 & setsid sh -c 'trap \"\" TERM; sleep 1234' & echo begun; wait"
    process = subprocess.Popen([launcher(shell, tmp_path), "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.kill()
    # A process that still runs holds the pipe open.
    assert process.stdout.read() == b""
    process.stdout.close()
    process.wait()


async def ask(tmp_path, policy, model, *, tools=(), pause=0.0):
    """Ask the real CLI in the sandbox; return its messages."""
    environment = for_run(HOME, CONFIG, TEMPORARY) | {
        "ANTHROPIC_UNIX_SOCKET": str(GIVEN / "relay.sock"),
        "ANTHROPIC_BASE_URL": "http://relay",
        "ANTHROPIC_API_KEY": "placeholder",
    }
    program = launcher(policy, tmp_path, environment)
    settings = WorkerSettings()
    options = options_for(plan_for({"tools": list(tools)}, settings), settings, Workspace(tmp_path))
    client = ClaudeSDKClient(replace(options, cli_path=str(program), env=environment))
    with SocketRelay(tmp_path / "given" / "relay.sock", model.url):
        await client.connect()
        await asyncio.sleep(pause)
        try:
            await client.query("hello")
            return [message async for message in client.receive_response()]
        finally:
            await client.disconnect()


def result_of_tool(messages):
    blocks = [block for message in messages if isinstance(message, UserMessage) for block in message.content]
    return next(str(block.content) for block in blocks if isinstance(block, ToolResultBlock))


@pytest.mark.parametrize("pause", [0.0, 1.0], ids=["cold", "warm"])
async def test_the_real_cli_answers_through_the_socket_alone(tmp_path, policy, pause):
    with ScriptedModel(echo=True) as model:
        messages = await ask(tmp_path, policy, model, pause=pause)
    assert isinstance(messages[-1], ResultMessage)
    assert messages[-1].result == "hello"


async def test_a_tool_works_in_the_directory_of_its_run(tmp_path, policy):
    with ScriptedModel() as model:
        model.script(ToolUse("Bash", {"command": "pwd; whoami; echo written > kept; cat kept"}), Text("done"))
        messages = await ask(tmp_path, policy, model, tools=["Bash"])
    assert result_of_tool(messages).split() == ["/work", "claude", "written"]
    assert (tmp_path / "work" / "kept").read_text() == "written\n"


async def test_a_tool_has_no_way_to_the_network_of_the_machine(tmp_path, policy):
    with ScriptedModel() as model:
        port = model.url.rpartition(":")[2]
        command = (
            f"curl -sS -m 2 http://127.0.0.1:{port}/; curl -sS -m 2 http://1.1.1.1/; curl -sS -m 2 http://[::1]:{port}/"
        )
        model.script(ToolUse("Bash", {"command": command}), Text("done"))
        messages = await ask(tmp_path, policy, model, tools=["Bash"])
        assert len(model.requests) == 2
    assert result_of_tool(messages).count("curl: (7)") == 3
