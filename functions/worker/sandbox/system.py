"""The parts of the machine in every sandbox: programs and libraries, read-only, and an `/etc` of a few files."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

# Directories of programs and libraries. Most systems have links to `/usr` for all but the first.
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Files that programs read and that are the same on every machine of its kind. No accounts, no hosts, no host keys.
_ETC = (
    "alternatives", "bash.bashrc", "ca-certificates.conf", "crypto-policies", "debian_version", "fonts", "inputrc",
    "java", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "lsb-release", "magic", "mailcap",
    "mime.types", "networks", "os-release", "pki/ca-trust", "pki/tls/certs", "pki/tls/cert.pem", "profile", "protocols",
    "python3", "redhat-release", "rpc", "services", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "terminfo",
    "timezone",
)  # fmt: skip
USER, HOME = "claude", "/home/claude"
_WRITTEN = {
    "passwd": f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n{USER}:x:1000:1000::{HOME}:/bin/bash\n",
    "group": f"root:x:0:\n{USER}:x:1000:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n",
    "hostname": "sandbox\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
    "shells": "/bin/sh\n/bin/bash\n",
}


def write_etc(folder: Path) -> None:
    """Write the files of `/etc` that are ours into a directory."""
    folder.mkdir(exist_ok=True)
    for name, text in _WRITTEN.items():
        (folder / name).write_text(text, encoding="utf-8")


def bindings(etc: Path) -> list[str]:
    """Return bubblewrap's arguments for the machine's part; `etc` holds what `write_etc` wrote."""
    arguments = list(_of_machine())
    for name in _WRITTEN:
        arguments += ["--ro-bind", str(etc / name), f"/etc/{name}"]
    return arguments


@cache
def _of_machine() -> tuple[str, ...]:
    """Return those that are the same for every run of this process: forty places to look at take 2 ms."""
    arguments = []
    for place in map(Path, _PROGRAMS):
        if place.is_symlink():
            arguments += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            arguments += ["--ro-bind", str(place), str(place)]
    for name in _ETC:
        arguments += _of_etc(Path("/etc") / name)
    return tuple(arguments)


def _of_etc(place: Path) -> list[str]:
    """Bind one entry; a link to another part of the machine stays a link where the sandbox has its target."""
    if not place.exists():
        return []
    if place.is_symlink() and place.resolve().is_relative_to("/usr"):
        return ["--symlink", str(place.resolve()), str(place)]
    return ["--ro-bind", str(place.resolve()), str(place)]


def covered(hidden: Iterable[Path], shown: Iterable[Path]) -> list[Path]:
    """Return those of the hidden directories that a shown one contains, without those that another one contains."""
    found: list[Path] = []
    shown = list(shown)
    for place in sorted(set(hidden)):
        below = any(place.is_relative_to(above) for above in shown)
        if below and place.is_dir() and not any(place.is_relative_to(above) for above in found):
            found.append(place)
    return found
