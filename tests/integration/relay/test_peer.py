"""Without a sandbox a tool of another slot can open a run's socket: it gets nothing there."""

import asyncio
import shlex
import sys

import pytest

from functions.worker.relay import server
from functions.worker.relay.peer import is_own
from tests.support.processes import leave_orphans
from tests.support.raw_upstream import relayed
from tests.support.waiting import until_async

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux names the peer's process")

# Asks, and writes the beginning of the answer to a file.
ASK = """
import os, pathlib, socket, sys
answer = b""
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    try:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: relay\\r\\nConnection: close\\r\\n\\r\\n")
        answer = connection.recv(100)
    except (BrokenPipeError, ConnectionResetError):
        pass
target = pathlib.Path(sys.argv[2])
target.with_suffix(".new").write_bytes(answer)
target.with_suffix(".new").rename(target)
"""


async def answer_to(socket, target, *, leaves):
    """Let a process ask, a child of this one or one that has left it; return the beginning of the answer."""
    command = shlex.join((sys.executable, "-c", ASK, str(socket), str(target)))
    # A process whose parent has ended belongs to the init of the machine.
    process = await asyncio.create_subprocess_shell(f"{command} & exit" if leaves else f"exec {command}")
    await process.wait()
    await until_async(target.exists)
    return target.read_bytes()


async def test_a_process_of_this_slot_is_answered(folder, tmp_path):
    async with relayed(folder) as relay:
        assert (await answer_to(relay.socket, tmp_path / "answer", leaves=False)).startswith(b"HTTP/1.1 4")


async def test_a_connection_is_checked_once_for_all_its_requests(folder, monkeypatch):
    """Catches a check that each request waits for."""
    checks = []

    def counted(transport):
        checks.append(transport)
        return is_own(transport)

    monkeypatch.setattr(server, "is_own", counted)
    async with relayed(folder) as relay:
        for _ in range(3):
            assert (await relay.post()).status_code == 200
    assert len(checks) == 1


async def test_a_process_of_another_slot_is_not_answered(folder, tmp_path):
    leave_orphans()
    async with relayed(folder) as relay:
        assert await answer_to(relay.socket, tmp_path / "answer", leaves=True) == b""
