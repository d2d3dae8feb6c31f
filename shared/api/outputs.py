"""The files that a run leaves, as the API shows them: artifacts, and the patch of its working directory."""

from typing import Literal

from pydantic import Field

from shared.api.wire import Wire

MAX_ARTIFACTS = 1000
"""Artifacts of one job."""

Omitted = Literal[
    "not_regular",
    "invalid_name",
    "unreadable",
    "too_large",
    "too_many",
    "storage_full",
    "store_unavailable",
    "patch_failed",
    "patch_too_large",
    "workspace_not_kept",
]
OMITTED = (
    "Files that were not kept, by reason. `not_regular`: links, devices, pipes and sockets. `invalid_name`: paths that "
    "are not UTF-8, or are longer or deeper than a path of `files` may be. `too_large`: above MAX_FILE_BYTES. "
    f"`too_many`: beyond {MAX_ARTIFACTS} files or MAX_WORKSPACE_BYTES. `storage_full`: beyond MAX_CALLER_FILE_BYTES, "
    "or the caller's 10,000 files. `patch_failed`: git could not make the patch. "
    "`patch_too_large`: it is above MAX_FILE_BYTES. `workspace_not_kept`: the session keeps the working directory of "
    "the turn before, because this one is larger than MAX_WORKSPACE_BYTES or does not fit into the caller's quota."
)


class Artifact(Wire):
    """A file that a run left in `outputs/`, with its path there; it is also one of the caller's files."""

    path: str
    size: int
    sha256: str
    media_type: str
    file_id: str


class PatchSummary(Wire):
    """The size of a patch: changed files, added and removed lines of text, and bytes."""

    files: int
    insertions: int
    deletions: int
    bytes: int


class ArtifactList(Wire):
    """The artifacts of a job that has ended, in the order of their paths."""

    artifacts: list[Artifact]
    omitted: dict[Omitted, int] = Field(description=OMITTED)
