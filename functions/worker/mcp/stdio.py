"""A stdio MCP server: a process with an environment, a directory, a session and a process group of its own."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from functions.worker.mcp.messages import Lines, Message, Unreadable, parse
from shared.host import processes
from shared.mcp.config import Server

# Programs of our own environment come first: the servers that are installed with the gateway.
_OURS = str(Path(sys.executable).parent)
_CHUNK = 1 << 16
# Bytes that a server may leave unread.
_MOST_UNREAD = 8 << 20
# Seconds that a server has to exit after its input has closed, and in which its last output is read after its exit.
_GRACE, _LAST_OUTPUT = 1.0, 0.25
# When memory runs out, the kernel kills a server and not the worker.
_OOM_SCORE = "1000"


class Stdio:
    """Messages from and to a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout

    def send(self, data: bytes) -> bool:
        """Write a message without waiting; return whether it was taken: a server that does not read has a full pipe."""
        if self._stdin is None or self._stdin.is_closing():
            return False
        if self._stdin.transport.get_write_buffer_size() + len(data) > _MOST_UNREAD:
            return False
        self._stdin.write(data)
        return True

    async def messages(self) -> AsyncIterator[Message | Unreadable]:
        """Yield what the server writes until it ends; raise EndlessLineError."""
        lines = Lines()
        while self._stdout is not None and (chunk := await self._stdout.read(_CHUNK)):
            for line in lines.feed(chunk):
                if isinstance(line, Unreadable):
                    yield line
                elif line.strip():
                    yield parse(line)

    async def ended(self) -> None:
        """Return when the process has exited, although a child of it may hold its output open."""
        exited = asyncio.Event()
        try:
            handle = os.pidfd_open(self._process.pid)
        except ProcessLookupError:  # it has exited
            return
        except (AttributeError, OSError):  # not on this system
            await anyio.sleep_forever()
        loop = asyncio.get_running_loop()
        loop.add_reader(handle, exited.set)
        try:
            await exited.wait()
            await asyncio.sleep(_LAST_OUTPUT)
        finally:
            loop.remove_reader(handle)
            os.close(handle)


@asynccontextmanager
async def started(server: Server, folder: Path, pids: set[int] | None = None) -> AsyncIterator[Stdio]:
    """Start a server in its directory; `pids` has its process while it runs."""
    folder.mkdir(mode=0o700, exist_ok=True)  # noqa: ASYNC240 -- one directory is made at once
    process = await asyncio.create_subprocess_exec(
        _program(server.command or ""),
        *server.args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(server, folder),
        cwd=folder,
        start_new_session=True,
    )
    pids = set() if pids is None else pids
    pids.add(process.pid)
    try:
        with suppress(OSError):
            processes.write_oom_score(process.pid, _OOM_SCORE)
        yield Stdio(process)
    finally:
        await _end(process, pids)


def environment(server: Server, folder: Path) -> dict[str, str]:
    """Return the whole environment of a server: what its entry names, and what a program needs to run at all."""
    language = {"LANG": os.environ["LANG"]} if "LANG" in os.environ else {}
    path = os.environ.get("PATH", os.defpath)
    # Directories of its own: what the tools of the run write is nothing that it should come upon.
    return {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), **language, **server.env}


def _program(command: str) -> str:
    found = shutil.which(command, path=f"{_OURS}{os.pathsep}{os.environ.get('PATH', '')}")
    # The server starts in a directory of its own.
    return os.path.abspath(found) if found else command  # noqa: PTH100 -- a link keeps its name


async def _end(process: asyncio.subprocess.Process, pids: set[int]) -> None:
    """Close the input of a server, and kill what is left of it and its children; a cancellation kills at once."""
    # Those in a session of their own cannot be found when the server has exited.
    below = processes.descendants(process.pid)
    try:
        if process.stdin is not None:
            process.stdin.close()
        with anyio.CancelScope(shield=True), suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
    finally:
        below += processes.descendants(process.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        processes.send(signal.SIGKILL, below)
        with anyio.CancelScope(shield=True), suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
        pids.discard(process.pid)
        # It stays open while a process that has left the group holds an end of a pipe.
        with suppress(Exception):
            process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 -- no public name
