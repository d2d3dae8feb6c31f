"""The files and attachments of a query: as the store checks them, and as its refusals name them."""

from hashlib import sha256
from typing import Any

from shared.api.errors import FieldError, InvalidRequest
from shared.api.job_files import MAX_ATTACHED
from shared.api.requests import SubmitRequest
from shared.files.media import ATTACHABLE
from shared.store.jobs.submissions import NamedFile

_MESSAGES = {
    "no_file": "should be the fileId of one of your files that is neither deleted nor expired",
    "not_attachable": f"should name a file of one of the types {', '.join(ATTACHABLE)}",
    "attachments_too_large": f"should have at most {MAX_ATTACHED} bytes together",
}


def named(request: SubmitRequest) -> tuple[NamedFile, ...]:
    """Return the files and then the attachments of a query, as the store checks them."""
    if not (request.files or request.attachments):
        return ()
    files = (_named(file.file_id, file.content) for file in request.files)
    attachments = (_named(one.file_id, one.content, one.media_type or "", attached=True) for one in request.attachments)
    return (*files, *attachments)


def _named(file_id: str | None, content: bytes, kind: str = "", *, attached: bool = False) -> NamedFile:
    if file_id is not None:
        return NamedFile(id=file_id, attached=attached)
    return NamedFile("", sha256(content).hexdigest(), kind, len(content), attached)


def decisive(request: SubmitRequest) -> dict[str, Any]:
    """Return what a fingerprint has of them without their contents."""
    fields: dict[str, Any] = {}
    if request.files:
        fields["files"] = [file.path for file in request.files]
    if request.attachments:
        fields["attachments"] = len(request.attachments)
    return fields


def refuse(kind: str, place: str, request: SubmitRequest) -> None:
    """Raise InvalidRequest when the store has refused a file; `place` counts files and then attachments."""
    message = _MESSAGES.get(kind)
    if message is None:
        return
    number, of_files = int(place), len(request.files)
    pointer = f"/files/{number}/fileId" if number < of_files else f"/attachments/{number - of_files}/fileId"
    if kind == "attachments_too_large":
        pointer = "/attachments"
    name = pointer[1:].replace("/", ".")
    raise InvalidRequest(f"{name}: {message}", errors=(FieldError(pointer, message),))
