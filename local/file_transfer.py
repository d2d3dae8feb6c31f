"""Files that commands send to a gateway and get from it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from local.client import Client, CommandError
from local.paths import file_path


def upload(client: Client, path: Path, name: str | None = None) -> dict[str, Any]:
    """Send a file and return its description; raises CommandError, which names the file."""
    try:
        with path.open("rb") as file:
            return client.upload(file, name or path.name)
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from None
    except CommandError as error:
        raise CommandError(f"{path}: {error}", error.status, code=error.code) from None


def place_of(path: Path) -> str:
    """Return where a file is in the working directory of a run: its relative path, or its name."""
    parts = PurePosixPath(path.as_posix()).parts
    return path.name if path.is_absolute() or ".." in parts else "/".join(parts)


@contextmanager
def uploaded(
    client: Client, files: Sequence[tuple[str, Path]], attachments: Sequence[Path]
) -> Iterator[dict[str, Any]]:
    """Send the files of a query, with their paths there, and yield the fields of its submission.

    Delete them at the end of the block: the job keeps what it was submitted with.
    """
    ids: list[str] = []

    def send(path: Path) -> str:
        ids.append(upload(client, path)["fileId"])
        return ids[-1]

    try:
        fields: dict[str, Any] = {}
        if files:
            fields["files"] = [{"path": place, "fileId": send(path)} for place, path in files]
        if attachments:
            fields["attachments"] = [{"fileId": send(path)} for path in attachments]
        yield fields
    finally:
        for file_id in ids:
            try:
                client.send("DELETE", file_path(file_id))
            except CommandError:
                break  # they expire
