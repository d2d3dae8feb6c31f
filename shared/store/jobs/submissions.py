"""Submissions: the one script that decides and does them."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import redis.asyncio
from pydantic_core import to_json

from shared.store import keys
from shared.store.redis import scripts

Kind = Literal["queued", "duplicate", "cached", "full", "mismatch", "limited", "broke", "revoked", "no_credential"]


class Submission(NamedTuple):
    """What a client asks for, as the script needs it.

    `priority` is its place in PRIORITIES, `timeout` ms; `request` and `metadata` JSON. An empty `fingerprint` is
    neither cached nor joined; `cache_ttl` s, 0 keeps nothing; `joinable` lets others join. `idempotency` names the
    key's record, and `body` is the hash of the normalised body. At most `rate` submissions in `window` ms, 0 for any.
    `hook` is the URL that is told of the end, `host` where it leads. `mcp` is JSON of the MCP servers and why.
    `talk` is the conversation that it goes on with, one turn at a time. `budget` is what a caller may spend a day,
    USD. `credential` names the caller's credential that the job runs on.
    """

    job_id: str
    request_id: str
    caller: str
    priority: int
    timeout: int
    request: str
    metadata: str = ""
    max_waiting: int = 10_000
    fingerprint: str = ""
    read_cache: bool = False
    join: bool = False
    joinable: bool = False
    cache_ttl: int = 0
    idempotency: str = ""
    body: str = ""
    rate: int = 0
    window: int = 0
    hook: str = ""
    host: str = ""
    mcp: str = ""
    talk: str = ""
    budget: float = 0
    credential: str = ""

    def _decisive(self) -> str:
        told = {name: getattr(self, field) for name, field in _TOLD}
        return to_json(told).decode()

    @property
    def arguments(self) -> tuple[str, str, str]:
        """What the script is given."""
        return self._decisive(), self.request, self.metadata


# How the script calls the fields, all but those that it is given by themselves.
_TOLD = tuple(
    (re.sub("_(.)", lambda part: part[1].upper(), name), name)
    for name in Submission._fields
    if name not in {"request", "metadata"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a submission.

    `result` is there when it was answered from the cache; `left` and `reset` (ms) tell of the rate limit, when there
    is one; `limited` has `reset` as the time until the next may come. `at` is when the first answer was given, ms.
    """

    kind: Kind
    request_id: str
    job_id: str
    result: dict[str, Any] | None
    replayed: bool
    left: int
    reset: int
    at: int


def idempotency_record(caller: str, digest: str) -> str:
    """Return the name of the record of an Idempotency-Key, given the digest of its scope and value."""
    return keys.idempotency(caller, digest)


async def submit(client: redis.asyncio.Redis, submission: Submission) -> Answer:
    """Decide and do a submission in one round trip; safe to send twice."""
    reply = await scripts.run(client, "submit", *submission.arguments)
    kind, request_id, job_id, result, replayed, left, reset, at = reply
    return Answer(kind, request_id, job_id, json.loads(result) if result else None, bool(replayed), left, reset, at)


async def recall(client: redis.asyncio.Redis, *, request_id: str, idempotency: str, body: str) -> Answer | None:
    """Return the first answer under an Idempotency-Key; None when there is none."""
    ask = to_json({"requestId": request_id, "idempotency": idempotency, "body": body})
    reply = await scripts.run(client, "recall", ask.decode())
    if reply is None:
        return None
    kind, first, job_id, result, replayed, at = reply
    return Answer(kind, first, job_id, json.loads(result) if result else None, bool(replayed), -1, 0, at)
