"""Runs git in a fresh sandbox, which has nothing but the directories that a step needs."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from functions.worker.sandbox import bubblewrap, network, system
from functions.worker.sandbox.confine import Sandbox
from shared.api.vocabulary import ErrorCode

# Directories of a step: their names in the run's directory and in the sandbox. `work` and `home` are the run's own.
PLACES = {"work": Path("/work"), "home": Path("/home"), "store": Path("/store"), "bundle": Path("/bundle")}
Access = Literal["read", "write"]
Serve = Callable[[socket.socket], Coroutine[Any, Any, str]]
"""Serves a step on a socket, and returns the path below which it does."""

# The exit status of a step that wrote a larger file than it may: 128 and SIGXFSZ.
TOO_LARGE = 153
NOT_INSTALLED = 127
# Bytes that a step may print; what is larger goes into a file.
_MOST_PRINTED = 65_536
_BLOCK = 512
# Bytes without which git does not start.
_LEAST_MEMORY = 64 << 20
# Counted for the user of the worker, whose other slots count too.
_PROCESSES = 4096
_PATH = "/usr/local/bin:/usr/bin:/bin"
_CONFIGURATION = {
    "advice.detachedHead": "false",
    "commit.gpgSign": "false",
    # Larger files are kept whole, and not held in memory to find what two of them share.
    "core.bigFileThreshold": "32m",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.untrackedCache": "false",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",
    "init.defaultBranch": "main",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "index.threads": "1",
    "push.followTags": "false",
    "push.gpgSign": "false",
    "push.recurseSubmodules": "no",
    "submodule.recurse": "false",
    "user.name": "Claude",
    "user.email": "noreply@anthropic.com",
}
_ENVIRONMENT = {
    "PATH": _PATH,
    "LC_ALL": "C",
    "GIT_ALLOW_PROTOCOL": "http:file",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": str(len(_CONFIGURATION)),
    **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(_CONFIGURATION)},
    **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(_CONFIGURATION.values())},
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_TEMPLATE_DIR": "",
}
# Started outside: limits for everything below, and the first to die when memory runs out.
_LIMITED = """\
echo 1000 2>/dev/null >/proc/self/oom_score_adj
ulimit -c 0; ulimit -f "$1"
ulimit -u "$2" 2>/dev/null || ulimit -p "$2" 2>/dev/null
ulimit -d "$3"
shift 3; exec "$@"
"""


class GitError(Exception):
    """A step of git failed; `status` is its exit status, or None when it did not end in time."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


class WorkspaceError(Exception):
    """The workspace of a job cannot be had, or not be pushed; `message` says why, in words for the client."""

    def __init__(self, message: str, code: ErrorCode = "workspace_failed") -> None:
        super().__init__(message)
        self.message, self.code = message, code


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs steps for one run, whose directory is `root`; `largest` bounds a file and `memory` a process, in bytes."""

    sandbox: Sandbox
    root: Path
    largest: int
    memory: int = 1 << 31

    @property
    def is_confined(self) -> bool:
        """Whether steps run in a sandbox: with RUN_SANDBOX=off they do not."""
        return self.sandbox.kind == "namespaces" and self.sandbox.bwrap is not None

    async def run(
        self, script: str, *arguments: str, places: Mapping[str, Access], within: float, serve: Serve | None = None
    ) -> bytes:
        """Run a script of the shell and return what it prints; raise GitError.

        The script finds its directories in the variables WORK, HOME, STORE and BUNDLE. With `serve` it has a network
        of one socket on loopback, which `serve` receives before the script begins, and whose URL is in RELAY.
        """
        for name in places:
            (self.root / name).mkdir(exist_ok=True)
        variables = dict(_ENVIRONMENT)
        step = ["sh", "-c", f"set -eu\n{'echo; read -r RELAY' if serve else ''}\n{script}", "sh", *arguments]
        with ExitStack() as stack:
            if self.is_confined:
                variables |= {"HOME": "/tmp", **{name.upper(): str(PLACES[name]) for name in places}}  # noqa: S108
                step, descriptors = self._confined(step, places, stack)
            else:
                variables |= {"HOME": str(self.root), **{name.upper(): str(self.root / name) for name in places}}
                descriptors = ()
            limits = (
                str(max(1, self.largest // _BLOCK)),
                str(_PROCESSES),
                str(max(self.memory, _LEAST_MEMORY) // 1024),
            )
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", _LIMITED, "sh", *limits, *step,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=variables, pass_fds=descriptors, cwd="/",
            )  # fmt: skip
        return await _ended(process, within, None if serve is None else partial(self._serve, serve))

    def _confined(
        self, step: Sequence[str], places: Mapping[str, Access], stack: ExitStack
    ) -> tuple[list[str], tuple[int, ...]]:
        """Return a command that runs a step in a new sandbox, and the descriptors that it needs."""
        etc = self.root / "etc"
        if not etc.is_dir():
            system.write_etc(etc)
        arguments = [*bubblewrap.NAMESPACES, *system.bindings(etc)]
        arguments += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
        arguments += ["--size", str(64 << 20), "--tmpfs", "/tmp"]  # noqa: S108 -- the sandbox's own
        for name, access in places.items():
            arguments += ["--bind" if access == "write" else "--ro-bind", str(self.root / name), str(PLACES[name])]
        filter_ = os.open(bubblewrap.FILTER, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, filter_)
        arguments += ["--remount-ro", "/", "--chdir", "/", "--seccomp", str(filter_)]
        given, take = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, given)
        with os.fdopen(take, "wb") as pipe:
            pipe.write(b"".join(os.fsencode(one) + b"\0" for one in arguments))
        return [str(self.sandbox.bwrap), "--args", str(given), *step], (given, filter_)

    async def _serve(self, serve: Serve, pid: int) -> str:
        """Hand over a socket on loopback of the sandbox, without one on loopback of the worker; return its address."""
        listener = await network.listen(pid) if self.is_confined else socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        return f"http://127.0.0.1:{listener.getsockname()[1]}{await serve(listener)}"


async def _ended(
    process: asyncio.subprocess.Process, within: float, serve: Callable[[int], Coroutine[Any, Any, str]] | None
) -> bytes:
    """Return what a process has printed at its end; raise GitError, and leave no process."""
    assert process.stdin is not None  # noqa: S101 -- a pipe
    assert process.stdout is not None  # noqa: S101
    printed = b""
    try:
        async with asyncio.timeout(within):
            if serve is not None:
                await process.stdout.readline()  # the sandbox is there
                process.stdin.write(f"{await serve(process.pid)}\n".encode())
            process.stdin.close()
            while piece := await process.stdout.read(_MOST_PRINTED):
                printed += piece[: _MOST_PRINTED - len(printed)]
            status = await process.wait()
    except TimeoutError:
        raise GitError(None) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status != 0:
        raise GitError(status)
    return printed
