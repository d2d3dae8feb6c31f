"""The listener of a run: a socket on loopback of its sandbox that the slot accepts on.

The run cannot take the port first: the socket is made before the CLI receives the first answer of Claude, and so
before any tool runs.
"""

import array
import asyncio
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shared.host import processes

PORT = 3128
_PROXY, _DIRECT = f"http://127.0.0.1:{PORT}", "localhost,127.0.0.1,::1"
# How curl, git, Python, npm, Go and Node.js find the proxy. The CLI itself reaches Claude by its socket.
VARIABLES = {
    **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), _PROXY),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), _DIRECT),
    "NODE_USE_ENV_PROXY": "1",
}
_PROGRAM = Path(__file__).with_name("listen.py")
# The kernel's request for the user namespace that owns another namespace.
_NS_GET_USERNS = 0xB701
# Seconds; the program takes some hundredths of one.
_WITHIN = 20.0


async def listen(sandbox: int) -> socket.socket:
    """Return a socket that listens on PORT in the network namespace of a sandbox; raise OSError.

    `sandbox` is the process that bubblewrap was started as. It stays outside, and its child is the first one inside.
    """
    with _namespaces(sandbox) as (network, user):
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                await _run_program(theirs.fileno(), network, user)
            return _received(ours)


@contextmanager
def _namespaces(sandbox: int) -> Iterator[tuple[int, int]]:
    """Open the network namespace of a sandbox, and the user namespace that owns it."""
    with ExitStack() as stack:
        place = f"/proc/{_first_child(sandbox)}/ns/net"
        if Path(place).samefile("/proc/self/ns/net"):
            raise OSError("the process is in no sandbox")
        network = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, network)
        user = fcntl.ioctl(network, _NS_GET_USERNS)
        stack.callback(os.close, user)
        yield network, user


async def _run_program(*descriptors: int) -> None:
    arguments = [sys.executable, "-I", "-S", str(_PROGRAM), *map(str, (*descriptors, PORT))]
    nothing = asyncio.subprocess.DEVNULL
    program = await asyncio.create_subprocess_exec(
        *arguments, pass_fds=descriptors, env={}, stdin=nothing, stdout=nothing, stderr=nothing
    )
    try:
        async with asyncio.timeout(_WITHIN):
            await program.wait()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


def _received(channel: socket.socket) -> socket.socket:
    """Return the socket that the program has sent before it ended."""
    channel.setblocking(False)
    data, ancillary, *_ = channel.recvmsg(16, socket.CMSG_SPACE(array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            listener = socket.socket(fileno=array.array("i", content)[0])
            listener.setblocking(False)
            return listener
    number = int(data or b"0")
    raise OSError(number, os.strerror(number))


def _first_child(pid: int) -> int:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN, or the process has ended
        found = [str(child) for child in processes.children(pid)]
    if not found:
        raise ProcessLookupError("the sandbox has ended")
    return int(found[0])
