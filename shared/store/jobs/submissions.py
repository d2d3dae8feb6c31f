"""Submissions: one script decides each and carries it out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import redis.asyncio

from shared.store import keys
from shared.store.redis import scripts

Kind = Literal[
    "queued", "duplicate", "cached", "full", "caller_full", "caller_bytes", "mismatch", "limited", "broke", "revoked",
    "no_sandbox", "no_credential", "no_git_credential", "no_header_credential", "no_file", "not_attachable",
    "attachments_too_large",
]  # fmt: skip
# All others are refusals.
ACCEPTED = frozenset[Kind]({"queued", "duplicate", "cached"})


class NamedFile(NamedTuple):
    """A file or an attachment of a submission: one of the caller's by its id, or a content that the request has."""

    id: str = ""
    sha256: str = ""
    kind: str = ""
    size: int = 0
    attached: bool = False


class Limits(NamedTuple):
    """The limits of a submission: jobs that wait; of its caller: jobs, bytes, submissions in a window, USD a day.

    A 0 is no limit, except for `max_waiting`. submit.lua describes the fields.
    """

    max_waiting: int
    caller_max_waiting: int = 0
    caller_max_bytes: int = 0
    rate: int = 0
    window_ms: int = 0
    daily_budget_usd: float = 0

    @property
    def fields(self) -> dict[str, Any]:
        """The fields for the script, without those that are no limit."""
        return {name: value for name, value in self._asdict().items() if value or name == "max_waiting"}


UNLIMITED = Limits(max_waiting=1_000_000_000)


@dataclass
class Submission:
    """A submission of a client. submit.lua describes the fields; `request` and `metadata` are JSON."""

    job_id: str
    request_id: str
    caller: str
    priority: int
    timeout_ms: int
    request: str
    metadata: str = ""
    fingerprint: str = ""
    read_cache: bool = False
    join: bool = False
    joinable: bool = False
    cache_ttl: int = 0
    idempotency: str = ""
    body: str = ""
    webhook_url: str = ""
    webhook_host: str = ""
    mcp: str = ""
    credential: str = ""
    git_credential: str = ""
    header_credentials: tuple[str, ...] = ()
    names_servers: bool = False
    session_id: str = ""
    sandbox: bool = False
    keep_request: bool = False
    label: str = ""
    run_at: int = 0
    files: tuple[NamedFile, ...] = ()
    max_attached: int = 0
    trace: str = ""

    def __post_init__(self) -> None:
        """Keep only what is not the default, which the class has: Redis takes long to decode a field."""
        # All defaults are empty, 0 or false.
        for name in [name for name, value in vars(self).items() if not value and hasattr(Submission, name)]:
            delattr(self, name)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Submission":
        """Make a submission of the values that are not the default; takes less time so."""
        made = object.__new__(cls)
        vars(made).update(values)
        return made

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that the script decides by: not the two texts that it only stores, nor those never set."""
        decisive = vars(self).copy()
        del decisive["request"]
        decisive.pop("metadata", None)
        if self.files:
            decisive["files"] = [file._asdict() for file in self.files]
        return decisive


class Answer(NamedTuple):
    """The answer to a submission.

    `result` is the result of a cached answer as JSON, otherwise empty. `left` and `reset` (ms) describe the rate limit,
    when there is one; for `limited`, `reset` is the time until the next submission may come. `at` is the time of the
    first answer, ms. When a file is refused, `job_id` is its place among the files of the submission, and for a
    credential its name.
    """

    kind: Kind
    request_id: str
    job_id: str
    result: str
    replayed: bool
    left: int
    reset: int
    at: int


async def submit(client: redis.asyncio.Redis, submission: Submission, limits: Limits = UNLIMITED) -> Answer:
    """Decide a submission and carry it out, in one round trip; safe to send twice."""
    reply = await scripts.run(
        client,
        "submit",
        submission=submission.fields,
        limits=_encoded(limits),
        request=submission.request,
        metadata=submission.metadata,
    )
    kind, request_id, job_id, result, replayed, left, reset, at = reply
    return Answer(kind, request_id, job_id, result, bool(replayed), left, reset, at)


@lru_cache(1024)
def _encoded(limits: Limits) -> str:
    """Return limits as the JSON argument of the script; most callers have the same ones."""
    return scripts.encode("submit", "limits", limits.fields)


async def recall(client: redis.asyncio.Redis, *, request_id: str, idempotency: str, body: str) -> Answer | None:
    """Return the first answer under an Idempotency-Key; None when there is none."""
    entry = {"request_id": request_id, "idempotency": idempotency, "body": body}
    reply = await scripts.run(client, "recall", entry=entry)
    if reply is None:
        return None
    kind, first, job_id, result, replayed, at = reply
    return Answer(kind, first, job_id, result, bool(replayed), -1, 0, at)


def idempotency_record(caller: str, digest: str) -> str:
    """Return the name of the record of an Idempotency-Key, given the digest of its scope and value."""
    return keys.idempotency(caller, digest)
