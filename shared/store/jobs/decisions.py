"""Decisions: what a job is paused for, what was decided, and the runs that go on.

Fields of a job's record that was paused (times in ms):

    ask      id of its last decision; decisions: ids of all, with a space between
    pause    the call that it is, or was last, paused for: JSON as clients see it
    resume   what the run needs that goes on after the pause, JSON
    decision what was decided, JSON; called: claim number of the run that has begun the allowed call
    token    of the one-use URL, while it is paused; until, late: when the time to decide is over, and what happens then
    paused   the session in which its runs staged their transcripts; kept: bytes of what is kept for its pauses
    pauses   its last pauses that have ended, see pause_history.lua
    stopped  since when its clock stands, while it is paused; stood: for how long it has stood before
"""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Literal

import redis.asyncio

from shared.store.callers.spending import Spend, to_json
from shared.store.jobs.outputs import Outputs
from shared.store.jobs.settlements import Pause, Settlement
from shared.store.redis import scripts

if TYPE_CHECKING:
    from shared.store.jobs.claims import Claim
    from shared.store.jobs.records import StoredJob

Kind = Literal["tool", "question"]
Made = Literal["decided", "missing", "over"]
By = Literal["caller", "url", "admin"]


@dataclass(frozen=True, slots=True)
class Question:
    """A call of a run that waits for a decision; `ask` is the id of the decision.

    After `timeout_ms` the call is denied, or the job fails, as `late` says.
    """

    ask: str
    kind: Kind
    tool: str
    input: dict[str, Any]
    timeout_ms: int
    late: Literal["deny", "fail"]

    @property
    def shown(self) -> dict[str, Any]:
        """The part that clients see; the store adds the times."""
        return {"id": self.ask, "kind": self.kind, "tool": self.tool, "input": self.input}


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a job goes on with: the call as it was shown, what its run has kept, and the decision.

    `begun` says that another run has begun the call, whose outcome is unknown.
    """

    ask: str
    tool: str
    input: dict[str, Any] = field(repr=False)
    kept: dict[str, Any] = field(repr=False)
    decision: dict[str, Any] = field(repr=False)
    begun: bool = False

    @classmethod
    def parse(cls, pause: str, kept: str, decision: str, called: str) -> "Resumption | None":
        """Read what the claim of a job returns; None for a job that was not paused."""
        if not (pause and kept and decision):
            return None
        call = json.loads(pause)
        return cls(call["id"], call["tool"], call["input"], json.loads(kept), json.loads(decision), bool(called))


def workspace_session(job_id: str) -> str:
    """Name the session that keeps the working directory of a paused job."""
    return f"{job_id}.pause"


async def decide(
    client: redis.asyncio.Redis,
    job_id: str,
    ask: str,
    decision: dict[str, Any],
    *,
    caller: str | None,
    by: By = "admin",
) -> Made:
    """Decide what one of a caller's jobs, or any job when the caller is None, is paused for."""
    made: Made = await scripts.run(
        client,
        "decide",
        job_id=job_id,
        caller=caller or "",
        ask=ask,
        decision=json.dumps(decision),
        outcome=decision["decision"],
        by=by,
    )
    return made


def pause(
    claim: "Claim",
    question: Question,
    *,
    session_id: str,
    resume: dict[str, Any],
    spend: Sequence[Spend] = (),
    outputs: Outputs | None = None,
    keep_for: int,
) -> Settlement:
    """Pause the job for a decision. `resume` is given to the run that goes on, and `outputs` its working directory.

    The transcripts that the run has staged in the session are kept; the directory is for `keep_for` s.
    """
    return Pause(
        deployment=claim.deployment,
        key=claim.spool_key,
        job_id=claim.job_id,
        number=claim.number,
        ask=question.ask,
        timeout_ms=question.timeout_ms,
        late=question.late,
        token=token_urlsafe(32),
        spend=to_json(spend),
        session_id=session_id,
        outputs=outputs.model_dump_json() if outputs else "",
        keep_s=keep_for,
        shown=json.dumps(question.shown),
        resume=json.dumps(resume),
    )


async def begin_call(client: redis.asyncio.Redis, claim: "Claim", ask: str) -> bool:
    """Return whether the run of a claim may carry out the call that was allowed; only one run ever may."""
    return bool(await scripts.run(client, "begin_call", job_id=claim.job_id, number=claim.number, ask=ask))


def is_token(job: "StoredJob", token: str) -> bool:
    """Return whether a token is that of the one-use URL of what a job is paused for."""
    own = job.record.get("token")
    return own is not None and job.record["state"] == "paused" and hmac.compare_digest(own.encode(), token.encode())
