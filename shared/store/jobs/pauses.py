"""Pauses: what a run leaves when it waits for a decision, and what the run that goes on gets.

The fields of a paused job are in `decisions.py`.
"""

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

Kind = Literal["tool", "question"]


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
