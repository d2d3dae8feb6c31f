"""What a job has left: its patch and its artifacts, as `claude-gateway jobs` and `ask --apply` get them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import typer

from local.client import Body, Client, CommandError
from local.output import OutputFailed, is_terminal, print_message, visible
from local.paths import job_path


def patch_of(client: Client, job: str) -> bytes:
    """Return the patch of a job; raises CommandError."""
    return b"".join(client.download(f"{job_path(job)}/patch"))


def write_patch(patch: bytes) -> None:
    """Write a patch to standard output: as it is, but on a terminal with control characters escaped."""
    try:
        if is_terminal(sys.stdout):
            patch = visible(patch.decode(errors="replace")).encode()
        sys.stdout.buffer.write(patch)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OutputFailed(os.strerror(error.errno or 0)) from None


def artifacts_of(client: Client, job: str) -> Body:
    """Return the list of a job's artifacts; raises CommandError."""
    return client.send("GET", f"{job_path(job)}/artifacts")[0]


def save_artifacts(client: Client, job: str, found: Body, folder: Path) -> None:
    """Download artifacts below a directory; raises CommandError. No file is written through a link or outside."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in found["artifacts"]:
        path = one["path"]
        target = folder / path
        # The gateway promises such paths, but a client should not rely on that.
        if path.startswith("/") or {"", ".", ".."} & set(path.split("/")):
            raise CommandError(f"{path}: is not a relative path")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.parent.resolve() != folder.resolve() / Path(path).parent:
                raise CommandError(f"{target}: would be written through a link")
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".artifact-", delete=False) as file:
                try:
                    for piece in client.download(f"{job_path(job)}/artifacts/{quote(path)}"):
                        file.write(piece)
                    file.close()
                    os.replace(file.name, target)  # noqa: PTH105 -- a text
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise CommandError(f"{target}: cannot be written: {error.strerror}") from None
        print_message(f"{target}")


def apply_patch(client: Client, job: str, folder: Path) -> None:
    """Show the patch of a job, and apply it to a directory with git; raises CommandError.

    On a terminal it asks first.
    """
    patch = patch_of(client, job)
    if not patch:
        print_message("The patch is empty: nothing has changed")
        return
    print_message(patch.decode(errors="replace"))
    may_ask = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    if may_ask and not typer.confirm(f"Apply this patch to {folder}?", err=True):
        return
    command = ["git", "apply", "--whitespace=nowarn", "-"]
    try:
        done = subprocess.run(command, cwd=folder, input=patch, capture_output=True, check=False)
    except OSError as error:
        raise CommandError(f"git cannot be started: {error.strerror}") from None
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()
        raise CommandError(
            f"the patch does not apply to {folder}: {reason}\nGet it with: claude-gateway jobs patch {job}"
        )
    print_message(f"Applied to {folder}")
