"""Commands of `claude-gateway`, as a script runs them, without a start of Python for each."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.gateway import ROOT
from tests.support.measured import COVERAGE

TIMEOUT = 60.0
_running: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []


def _server() -> socket.socket:
    if _running and _running[0][1].poll() is None:
        return _running[0][0]
    stop_command_server()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.command_server", str(theirs.fileno())],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **COVERAGE},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    _running.append((ours, process))
    return ours


def stop_command_server() -> None:
    """End the process, if there is one: it is a child of the tests' process, in which some tests look for children."""
    while _running:
        ours, process = _running.pop()
        ours.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            # A command that hangs is in the same session.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_command(
    *arguments: str, folder: Path, environment: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, within TIMEOUT, and return what `subprocess.run` does; no traceback may be shown."""
    server = _server()
    server.settimeout(TIMEOUT)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        socket.send_fds(server, [json.dumps(request).encode()], [one.fileno() for one in (given, out, err)])
        status = int(server.recv(64))
        shown = []
        for one in (out, err):
            one.seek(0)
            shown.append(one.read().decode())
    assert "Traceback" not in shown[1], shown[1]
    return subprocess.CompletedProcess(arguments, status, *shown)
