"""The network of a sandbox: a listener on its loopback, used by the programs that tools use."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path

import psutil
import pytest

from functions.worker.relay import egress
from functions.worker.relay.egress import EgressPolicy
from functions.worker.sandbox import bubblewrap, network, system
from functions.worker.sandbox.policy import PLACES, Policy, slot_variables
from shared.host import processes
from tests.support.egress import HOST, proxied
from tests.support.raw_upstream import relayed
from tests.support.waiting import until_async

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


class Shell:
    """A shell in a sandbox, which runs one line after another."""

    def __init__(self, process, root):
        self._process, self.root = process, root

    @property
    def pid(self):
        return self._process.pid

    async def run(self, line):
        """Return what a line prints."""
        self._process.stdin.write(f"{{ {line}\n}} 2>&1; echo; echo ---end---\n".encode())
        return (await self._process.stdout.readuntil(b"\n---end---\n")).decode().removesuffix("\n---end---\n").strip()


@contextlib.asynccontextmanager
async def shell(root):
    """Start a shell in a sandbox, with the variables of a run that may have a network."""
    root.mkdir()
    for name in (*PLACES, "launcher"):
        (root / name).mkdir()
    system.write_etc(root / "etc")
    policy = Policy(cli=Path("/bin/sh"), root=root, etc=root / "etc")
    bwrap = bubblewrap.program()
    assert bwrap is not None
    launcher = bubblewrap.write_launcher(root / "launcher", bwrap, policy, slot_variables(network.VARIABLES))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        launcher, "-s", stdin=pipe, stdout=pipe, env={**os.environ, **network.VARIABLES}
    )
    try:
        found = Shell(process, root)
        await found.run("true")
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
async def inside(tmp_path):
    async with shell(tmp_path / "a") as found:
        yield found


def trust(run, inside):
    run.target.write_authority(inside.root / "work" / "ca.pem")


CURL = "curl -sS -m 20 --cacert /work/ca.pem"


async def test_the_listener_is_on_loopback_of_the_sandbox_alone(inside):
    with await network.listen(inside.pid) as listener:
        assert listener.getsockname() == ("127.0.0.1", network.PORT)
        assert not os.get_inheritable(listener.fileno())
        with socket.socket() as outside:
            assert outside.connect_ex(("127.0.0.1", network.PORT)) != 0
        assert f":{network.PORT:04X}" in await inside.run("cat /proc/net/tcp")
    await until_async(lambda: [pid for pid in processes.children(os.getpid()) if _is_listen(pid)] == [])


def _is_listen(pid):
    try:
        return b"listen.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def test_a_process_without_a_sandbox_gets_no_listener():
    """Catches a listener that the worker opens on its own loopback."""
    process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 60; true")
    try:
        await until_async(lambda: processes.children(process.pid))
        with pytest.raises(OSError, match="no sandbox"):
            await network.listen(process.pid)
    finally:
        for pid in processes.descendants(process.pid):
            os.kill(pid, 9)
        await process.wait()


async def test_a_sandbox_that_has_ended_gets_no_listener(tmp_path):
    async with shell(tmp_path / "a") as found:
        pid = found.pid
    with pytest.raises(ProcessLookupError, match="has ended"):
        await network.listen(pid)


async def test_a_port_that_is_taken_is_an_error(inside):
    with await network.listen(inside.pid), pytest.raises(OSError, match="in use"):
        await network.listen(inside.pid)


async def test_a_tool_cannot_take_the_port_of_the_listener(inside):
    with await network.listen(inside.pid):
        for host in ("127.0.0.1", "0.0.0.0", "::"):
            family = "AF_INET6" if ":" in host else "AF_INET"
            script = (
                f"import socket as s; c = s.socket(s.{family}); c.setsockopt(s.SOL_SOCKET, s.SO_REUSEADDR, 1); "
                f"c.setsockopt(s.SOL_SOCKET, s.SO_REUSEPORT, 1); c.bind(('{host}', {network.PORT})); c.listen()"
            )
            assert "in use" in await inside.run(f'python3 -c "{script}"'), host


async def test_curl_reaches_an_allowed_host(monkeypatch, inside):
    async with proxied(monkeypatch, await network.listen(inside.pid)) as run:
        trust(run, inside)
        assert await inside.run(f"{CURL} https://{HOST}:{egress.PORT}/") == "hello"
        [ended] = await run.records(1)
    assert (ended.host, ended.outcome) == (HOST, "closed")


async def test_curl_shows_why_a_host_is_refused(monkeypatch, inside):
    async with proxied(monkeypatch, await network.listen(inside.pid)) as run:
        trust(run, inside)
        port = egress.PORT
        assert "response 403" in await inside.run(f"{CURL} https://evil.example:{port}/")
        assert "evil.example is not among" in await inside.run(f"{CURL} -v https://evil.example:{port}/")
        assert "RUN_ALLOWED_HOSTS" in await inside.run(f"{CURL} http://{HOST}/")
        assert run.target.connections == 0


PYTHON = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile="/work/ca.pem")
try:
    print(urllib.request.urlopen(sys.argv[1], context=context, timeout=20).read().decode())
except OSError as error:
    print(error)
"""


async def test_python_finds_the_proxy_and_shows_the_reason(monkeypatch, inside):
    async with proxied(monkeypatch, await network.listen(inside.pid)) as run:
        trust(run, inside)
        (inside.root / "work" / "get.py").write_text(PYTHON)
        assert await inside.run(f"python3 get.py https://{HOST}:{egress.PORT}/") == "hello"
        assert "evil.example is not among" in await inside.run("python3 get.py https://evil.example/")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
async def test_git_asks_the_proxy(monkeypatch, inside):
    async with proxied(monkeypatch, await network.listen(inside.pid)) as run:
        trust(run, inside)
        await inside.run(f"git -c http.sslCAInfo=/work/ca.pem ls-remote https://{HOST}:{egress.PORT}/a.git")
        assert (await run.records(1))[0].outcome == "closed"
        assert run.target.connections == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_openssl_with_another_server_name_is_cut(monkeypatch, inside):
    async with proxied(monkeypatch, await network.listen(inside.pid)) as run:
        trust(run, inside)
        line = f"openssl s_client -proxy 127.0.0.1:{network.PORT} -connect {HOST}:{egress.PORT} -CAfile /work/ca.pem"
        assert "Verify return code: 0" in await inside.run(f"{line} -servername {HOST} </dev/null")
        assert "unrecognized name" in await inside.run(f"{line} -servername other.example </dev/null")


async def test_a_run_does_not_reach_the_listener_of_another_run(monkeypatch, inside, tmp_path):
    async with shell(tmp_path / "b") as other, proxied(monkeypatch, await network.listen(inside.pid)) as run:
        trust(run, inside)
        trust(run, other)
        assert "Failed to connect" in await other.run(f"{CURL} https://{HOST}:{egress.PORT}/")
        assert run.ended == []


async def test_a_flood_of_connections_leaves_the_relay_working(monkeypatch, inside):
    script = f"""
import socket
held = []
for _ in range(1000):
    one = socket.socket()
    one.settimeout(5)
    try:
        one.connect(("127.0.0.1", {network.PORT}))
    except OSError:
        continue
    held.append(one)
print("made", len(held))
"""
    async with proxied(monkeypatch, await network.listen(inside.pid)) as run:
        trust(run, inside)
        (inside.root / "work" / "flood.py").write_text(script)
        before, most = psutil.Process().num_fds(), 0
        working = asyncio.create_task(inside.run("python3 flood.py"))
        while not working.done():
            await asyncio.wait({working}, timeout=0.005)
            most = max(most, psutil.Process().num_fds() - before)
        assert "made" in working.result()
        assert most < 200
        await until_async(lambda: not run.proxy._tasks)
        assert await inside.run(f"{CURL} https://{HOST}:{egress.PORT}/") == "hello"


async def test_a_listener_that_cannot_be_made_ends_the_run(folder):
    """Catches a run that goes on without the network that it may use."""

    async def fail():
        raise PermissionError(1, "Operation not permitted")

    async with relayed(folder, egress=EgressPolicy((HOST,))) as relay:
        relay.line.open_network(fail)
        assert (await asyncio.wait_for(relay.run.ended, 10)).code == "server_error"


async def test_a_request_to_claude_waits_for_the_listener(folder):
    """Catches a tool that runs before the port of the listener is taken."""
    ready = asyncio.Event()

    async def listen():
        await ready.wait()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        return listener

    async with relayed(folder, egress=EgressPolicy((HOST,))) as relay:
        relay.line.open_network(listen)
        posted = asyncio.create_task(relay.post())
        await until_async(lambda: any(one._task for one in relay.line._budget.connections))
        assert relay.upstream.requests == []
        ready.set()
        assert (await posted).status_code == 200


async def test_the_variables_name_the_listener_for_every_tool(inside):
    shown = json.loads(await inside.run("python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"))
    assert {name: shown.get(name) for name in network.VARIABLES} == network.VARIABLES
