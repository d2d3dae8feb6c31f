"""The value of `ask --workspace`: a repository, or the files of a git checkout on this machine."""

import subprocess
from pathlib import Path
from typing import Any

from local.client import CommandError

# Files that a job takes.
_MOST = 100


def is_url(text: str) -> bool:
    """Return whether the value names a repository and not a directory."""
    return "://" in text


def git_of(text: str, *, credential: str | None = None, push: str | None = None) -> dict[str, Any]:
    """Return the `workspace` field for URL or URL@REF: the part after an @ in the path is the ref."""
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    path, _, ref = path.partition("@")
    fields = {
        "url": f"{scheme}://{host}{slash}{path}",
        "ref": ref or None,
        "credential": credential,
        "push": {"branch": push} if push else None,
    }
    return {"git": {name: value for name, value in fields.items() if value is not None}}


def files_of(folder: Path) -> list[tuple[str, Path]]:
    """Return the tracked and untracked files of a git checkout, but not the ignored, with their paths in it.

    Raises CommandError.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise CommandError(f"--workspace: {folder} cannot be read: {error.strerror}") from None
    if listed.returncode != 0:
        raise CommandError(f"--workspace: {folder} is neither a URL nor a directory of a git checkout")
    try:
        names = sorted({name.decode() for name in listed.stdout.split(b"\0") if name})
    except UnicodeDecodeError:
        raise CommandError(f"--workspace: {folder} has a file whose name is not UTF-8") from None
    found = [(name, folder / name) for name in names]
    # Links, and files that are deleted and still tracked, are not sent.
    found = [(name, path) for name, path in found if path.is_file() and not path.is_symlink()]
    if not found:
        raise CommandError(f"--workspace: {folder} has no files")
    if len(found) > _MOST:
        raise CommandError(
            f"--workspace: {folder} has {len(found)} files, and a job takes {_MOST}; use --workspace URL@REF"
        )
    return found
