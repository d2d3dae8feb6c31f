"""The version of the CLI that the slots run."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from shared.configuration.settings import SettingsError, WorkerSettings

# Seconds to wait for the CLI's version: a slower CLI must not delay the slots.
_TIMEOUT = 2.0


def check_command(settings: WorkerSettings) -> None:
    """Raise SettingsError unless CLAUDE_COMMAND is unset or names a program that can be run."""
    if settings.claude_command is not None and shutil.which(settings.claude_command) is None:
        raise SettingsError(
            "CLAUDE_COMMAND: should be the path of a program that the gateway's user can run, such as "
            f"/usr/local/bin/claude; unset it for the bundled CLI (it is {settings.claude_command!r})"
        )


def program(settings: WorkerSettings) -> Path:
    """Return the path of the CLI's program."""
    if settings.claude_command is not None:
        return Path(shutil.which(settings.claude_command) or settings.claude_command)
    spec = find_spec("claude_agent_sdk")
    package = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path()
    return package / "_bundled" / "claude"


def of_cli(settings: WorkerSettings) -> str | None:
    """Return the version of the CLI; None when it is unknown."""
    if settings.claude_command is None:
        return _bundled_version()
    try:
        done = subprocess.run(
            [settings.claude_command, "--version"],
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _version_in(done.stdout.decode("utf-8", "replace"))


def _bundled_version() -> str | None:
    """Read the version of the SDK's bundled CLI, without importing the SDK or starting the CLI."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    try:
        return _version_in((Path(spec.origin).parent / "_bundled" / "claude.version").read_text(encoding="utf-8"))
    except OSError:
        return None


def _version_in(text: str) -> str | None:
    found = re.match(r"[0-9][0-9A-Za-z.+-]{0,40}", text)
    return found[0] if found else None
