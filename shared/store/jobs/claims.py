"""Claims: take a job for a slot, renew the lease, and settle the outcome.

Every write names the claim number. A slot that was considered dead, and resumes, changes nothing.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any, Literal
from uuid import uuid4

import redis
import redis.asyncio

from shared.store import keys
from shared.store.callers.spending import Spend, to_json
from shared.store.jobs.origin import Origin
from shared.store.jobs.outputs import Outputs
from shared.store.jobs.pauses import Resumption
from shared.store.jobs.settlements import Finish, HandBack, Retry, Settlement, Spent
from shared.store.jobs.steps import Entry, Message
from shared.store.redis import scripts
from shared.store.redis.channels import Channels
from shared.store.redis.pipelining import get

# ms. A running slot renews its lease far more often: a lease that has ended means that the slot, or its host, is gone.
LEASE = 15_000


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for a job; `number` is its fence.

    Once taken it names its store, `deployment`, and the secret that signs its settlement on disk.
    """

    job_id: str
    number: int
    deployment: str = ""
    spool_key: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> "Claim":
        """Read a claim's id, `JOB-N`; raise ValueError when it is not one."""
        job_id, separator, number = text.rpartition("-")
        if not separator or not job_id or not number.isdecimal():
            raise ValueError("a claim is written JOB-N")
        return cls(job_id, int(number))

    def __str__(self) -> str:
        return f"{self.job_id}-{self.number}"


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A claimed job; `time_left`: ms on one clock over all attempts; `cost`: USD of the earlier attempts.

    `claim` names the deployment. Settle with it, so that no other store accepts the settlement. `credential` is the
    entry of the credential that the request names, and `credential_owner` is whose it is; empty when there is none.
    `resumption` is what a job goes on with after a pause, and `origin` is for its trace.
    """

    claim: Claim
    request: dict[str, Any]
    attempts: int
    time_left: int
    request_id: str
    caller: str
    cost: float = 0.0
    credential: str = field(default="", repr=False)
    credential_owner: str = ""
    resumption: Resumption | None = None
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Claude's state in an attempt: it answers, refuses our account, or accepts no request for `wait` ms."""

    shows: Literal["answered", "refused", "limited", ""] = ""
    code: str = ""
    wait: int = 0


async def take(
    client: redis.asyncio.Redis,
    claim: Claim,
    slot: str,
    budget: float = 0,
    caller_max_active: int | None = None,
    instead_of: str = "",
) -> ClaimedJob | None:
    """Claim a job for a slot; None when the record expects another claim, or none.

    Also None when its caller has spent the `budget` of the day, USD, if there is one: then the job runs the next day.
    And None when its caller runs `caller_max_active` jobs: then it waits for one of them. A policy replaces both.
    With `instead_of` the slot gets the running job of that dead slot, under the same claim.
    """
    reply = await scripts.run(
        client, "claim", job_id=claim.job_id, number=claim.number, slot=slot, instead_of=instead_of, lease_ms=LEASE,
        daily_budget_usd=budget, caller_max_active=caller_max_active or 0, new_deployment=uuid4().hex,
        new_spool_key=token_hex(32),
    )  # fmt: skip
    if reply is None:
        return None
    request, attempts, time_left, request_id, caller, cost, deployment, credential, owner, spool_key, *rest = reply
    claim = replace(claim, deployment=deployment, spool_key=spool_key)
    return ClaimedJob(
        claim, json.loads(request), attempts, time_left, request_id, caller, float(cost), credential, owner,
        Resumption.parse(*rest[:4]), Origin(*rest[4:]),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewed lease, and the messages to the job that its run has not taken yet."""

    messages: list[Message] = field(default_factory=list)


async def renew(
    client: redis.asyncio.Redis,
    claim: Claim,
    progress: int,
    piece: int = 0,
    entries: Sequence[Entry] = (),
    spend: str = "",
    *,
    taken: int = 0,
    closes: bool = False,
) -> Renewal | None:
    """Renew the lease, with the progress, the next piece of text and steps, and the cost so far if it has changed.

    Return None when the claim no longer holds, so that the run has to be abandoned. A piece that is sent again under
    its number is published once. `taken` is how many messages the run has. With `closes` the job takes no other, unless
    the reply has some.
    """
    reply = await scripts.run(
        client, "renew", job_id=claim.job_id, number=claim.number, progress=progress, lease_ms=LEASE, spend=spend,
        taken=taken, closes=int(closes), piece=piece, entries=[part for entry in entries for part in entry],
    )  # fmt: skip
    return None if reply == 0 else Renewal([Message(*line.split("\n", 2)) for line in reply])


def finish(  # noqa: PLR0913 -- each is a field of the settlement
    claim: Claim,
    state: Literal["completed", "failed"],
    outcome: dict[str, Any],
    *,
    keep_for: int,
    upstream: Upstream = Upstream(),
    spend: Sequence[Spend] = (),
    absent: Sequence[str] = (),
    saves_usd: float = 0.0,
    session_id: str | None = None,
    keep_session_for: int = 0,
    seen: dict[str, Any] | None = None,
    outputs: Outputs | None = None,
) -> Settlement:
    """End the job: `outcome` is `{"result": …}` or `{"error": …}`, readable for `keep_for` s.

    `absent` are the MCP servers that did not start or died; `saves_usd` is what a cached copy of the result saves.
    The session is kept for `keep_session_for` s. `seen` is what the record keeps of the attempt: `model`, `truncated`,
    `requests`. `outputs` are the files that the run left; they become ready now.
    """
    return Finish(
        deployment=claim.deployment,
        key=claim.spool_key,
        job_id=claim.job_id,
        number=claim.number,
        state=state,
        body=json.dumps(outcome["result"] if "result" in outcome else outcome["error"]),
        keep_ms=keep_for * 1000,
        spend=to_json(spend),
        upstream=upstream.shows,
        code=outcome["error"]["code"] if "error" in outcome else "",
        wait_ms=upstream.wait,
        saves_usd=saves_usd,
        absent=json.dumps(absent) if absent else "",
        session_id=session_id or "",
        keep_session_s=keep_session_for,
        seen=json.dumps(seen) if seen else "",
        outputs=outputs.model_dump_json() if outputs else "",
    )


def retry(
    claim: Claim,
    delay: int,
    code: str,
    upstream: Upstream,
    spend: Sequence[Spend] = (),
    seen: dict[str, Any] | None = None,
) -> Settlement:
    """Retry the job after `delay` ms; the attempt counts. `seen` is as for `finish`."""
    return Retry(
        deployment=claim.deployment,
        key=claim.spool_key,
        job_id=claim.job_id,
        number=claim.number,
        delay_ms=delay,
        upstream=upstream.shows,
        code=code,
        wait_ms=upstream.wait,
        spend=to_json(spend),
        seen=json.dumps(seen) if seen else "",
    )


def hand_back(claim: Claim, spend: Sequence[Spend] = ()) -> Settlement:
    """Put a running job back at the front of its priority; the attempt does not count."""
    return HandBack(
        deployment=claim.deployment,
        key=claim.spool_key,
        job_id=claim.job_id,
        number=claim.number,
        spend=to_json(spend),
    )


def spent(claim: Claim, caller: str, spend: Sequence[Spend], outputs: Outputs | None = None) -> Settlement:
    """Count the cost of a run whose claim no longer holds; a cancelled job keeps the files that it left."""
    return Spent(
        deployment=claim.deployment,
        key=claim.spool_key,
        job_id=claim.job_id,
        number=claim.number,
        caller=caller,
        spend=to_json(spend),
        outputs=outputs.model_dump_json() if outputs else "",
    )


async def is_cancelled(client: redis.asyncio.Redis, job_id: str) -> bool:
    """Return whether a job is cancelled."""
    [state] = await get(client, ("HGET", keys.job(job_id), "state"))
    return bool(state == "cancelled")


Settled = Literal["void", "settled", "held", "foreign"]
_SETTLED: tuple[Settled, ...] = ("void", "settled", "held", "foreign")


async def settle(client: redis.asyncio.Redis, settlement: Settlement) -> Settled:
    """Write a settlement; `held` when the job waits because Claude refuses everybody, `void` without a claim.

    `foreign` when the store belongs to another deployment than the claim; then nothing is written.
    """
    reply: int = await scripts.run(client, settlement.script, **settlement.arguments())
    return _SETTLED[reply]


def settle_sync(client: redis.Redis, settlement: Settlement) -> Settled:
    """Write a settlement from a thread that blocks."""
    reply: int = scripts.run_sync(client, settlement.script, **settlement.arguments())
    return _SETTLED[reply]


def deployment(client: redis.Redis) -> tuple[str, str]:
    """Return the deployment that the store belongs to, and the secret of its spool; empty before its first claim."""
    found: Any = client.mget(keys.DEPLOYMENT, keys.SPOOL_KEY)
    own, key = (
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value or "" for value in found
    )  # a client may decode or not
    return own, key


async def own_deployment(client: redis.asyncio.Redis) -> tuple[str, str]:
    """Return what `deployment` does."""
    own, key = await get(client, ("GET", keys.DEPLOYMENT), ("GET", keys.SPOOL_KEY))
    return own or "", key or ""


def knows(client: redis.Redis, job_id: str) -> bool:
    """Return whether the store has a job's record."""
    return bool(client.exists(keys.job(job_id)))


async def notices(client: redis.asyncio.Redis) -> AsyncIterator[tuple[Literal["cancelled", "steered", "counts"], str]]:
    """Yield the ids of jobs as they are cancelled or sent a message, and `counts` when tokens may have to be counted.

    Ends with an error of the connection.
    """
    kinds: dict[str, Literal["cancelled", "steered", "counts"]] = {
        keys.CANCELLED: "cancelled",
        keys.STEERED: "steered",
        keys.COUNTING: "counts",
    }
    async with Channels(client) as channels:
        await channels.subscribe(*kinds)
        yield "counts", ""
        while True:
            message = await channels.receive()
            if message is not None and message["type"] == "message":
                yield kinds[message["channel"]], message["data"]
