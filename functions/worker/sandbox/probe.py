"""Tries once, at the worker's start, whether this machine can make a sandbox with the CLI in it."""

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from functions.worker.sandbox import bubblewrap, network, system
from functions.worker.sandbox.policy import PLACES, Policy, slot_variables

Kind = Literal["namespaces", "off", "unavailable"]
# The CLI says its version within a fraction of this; s.
_WITHIN = 30.0
_SHELL = Path("/bin/sh")
_NO_NETWORK = (
    "RUN_ALLOWED_HOSTS is set, and the network of a sandbox cannot be entered ({}): a container needs the seccomp "
    "profile of the Compose file; unset the variable for runs without a network"
)
# Messages of bubblewrap, and what an operator can do about them.
_CAUSES = (
    (("No space left on device",), "user namespaces are switched off: user.max_user_namespaces is 0"),
    (("mount proc",), "/proc cannot be mounted: a container needs `systempaths=unconfined`"),
    (
        ("No permissions to creat", "Creating new namespace failed", "setting up uid map", "Operation not permitted"),
        (
            "the worker's user may not create user namespaces: a container needs the seccomp profile of the Compose "
            "file, and Ubuntu 24.04 an AppArmor profile for bwrap or kernel.apparmor_restrict_unprivileged_userns=0"
        ),
    ),
    (("Unknown option",), "bubblewrap is older than 0.8"),
    (("seccomp",), "the kernel takes no seccomp filter"),
)


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of the probe: `namespaces` where a run gets a sandbox, and otherwise a sentence with the reason."""

    kind: Kind
    bwrap: Path | None = None
    reason: str = ""


def probe(cli: Path, read: tuple[Path, ...] = (), *, has_network: bool = False) -> Probe:
    """Start the CLI in a sandbox such as a run gets, and ask for its version; with `has_network` also listen in one."""
    if sys.platform != "linux":
        return Probe("unavailable", reason=f"{sys.platform} has no namespaces; a sandbox needs Linux")
    bwrap = bubblewrap.program()
    if bwrap is None:
        return Probe("unavailable", reason="bubblewrap is not installed; install the package `bubblewrap`")
    with tempfile.TemporaryDirectory(prefix="claude-probe-") as folder:
        try:
            policy, foreign = _policy(Path(folder), cli, read)
            launcher = bubblewrap.write_launcher(Path(folder), bwrap, policy, foreign)
            done = subprocess.run(
                [launcher, "--version"],
                env=dict(os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_WITHIN,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Probe("unavailable", reason=f"the CLI did not say its version in a sandbox within {_WITHIN:.0f} s")
        except OSError as error:
            return Probe("unavailable", reason=f"bubblewrap cannot be started: {error.strerror}")
        if done.returncode != 0:
            return Probe("unavailable", reason=_cause(done.stderr.decode("utf-8", "replace")))
        if has_network:
            try:
                launcher = bubblewrap.write_launcher(Path(folder), bwrap, replace(policy, cli=_SHELL), foreign)
                asyncio.run(_listen(launcher))
            except OSError as error:
                return Probe("unavailable", reason=_NO_NETWORK.format(error.strerror or error or "it takes too long"))
    return Probe("namespaces", bwrap)


async def _listen(launcher: Path) -> None:
    """Listen in the sandbox of a shell that waits; raise OSError."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    shell = await asyncio.create_subprocess_exec(
        launcher, "-c", "echo; read _", stdin=pipe, stdout=pipe, stderr=nothing, env=dict(os.environ)
    )
    try:
        if shell.stdout is not None:
            async with asyncio.timeout(_WITHIN):
                await shell.stdout.readline()
        (await network.listen(shell.pid)).close()
    finally:
        if shell.returncode is None:
            shell.kill()
        await shell.communicate()


def _policy(folder: Path, cli: Path, read: tuple[Path, ...]) -> tuple[Policy, list[str]]:
    for name in PLACES:
        (folder / name).mkdir()
    system.write_etc(folder / "etc")
    return Policy(cli=cli, root=folder, etc=folder / "etc", read=read), slot_variables(())


def _cause(output: str) -> str:
    """Return what an operator can do about the messages of bubblewrap."""
    lines = [line for line in output.splitlines() if line.startswith("bwrap: ")]
    if not lines:
        return "the CLI does not start in a sandbox: name the directory that it is installed in with RUN_READ_PATHS"
    text = lines[-1].removeprefix("bwrap: ")
    if text.startswith("execvp"):
        return "the CLI cannot be executed in a sandbox: name the directory that it is installed in with RUN_READ_PATHS"
    for signs, cause in _CAUSES:
        if any(sign in text for sign in signs):
            return cause
    return f"bubblewrap says: {text[:200]}"
