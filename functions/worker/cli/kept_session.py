"""The session of a run: what it continues, and where its transcript is stored."""

from collections.abc import Sequence

from functions.worker.cli.gate import Gate
from functions.worker.cli.history import HistorySession, transcript
from functions.worker.cli.plan import RunPlan
from functions.worker.cli.transcripts import PausableSession, last_call
from functions.worker.cli.turns import Block
from functions.worker.cli.warm import KeptSession
from shared.store.jobs.sessions import StagedSession


class SessionNotFoundError(Exception):
    """The session that a run continues does not exist."""


class CallNotFoundError(Exception):
    """The CLI of the run before the pause has deferred no such call: a tool of that run has forged it."""


async def kept_session(
    plan: RunPlan, session: StagedSession | None, attached: Sequence[Block], gate: Gate | None
) -> KeptSession | None:
    """Return the session of a run, with the lines of a history or of the session that it continues."""
    call_id = plan.resumption.kept["callId"] if plan.resumption else None
    store = session if session is None or gate is None else PausableSession(session, gate, call_id)
    if plan.history:
        lines = transcript(plan.history, attached, plan.options.model)
        return KeptSession(HistorySession(lines, store), lines)
    if session is None or store is None or plan.session is None:
        return None
    resumes = plan.session.session_id if plan.resumption else plan.session.resumes
    if not resumes:
        return KeptSession(store)
    found = await session.transcript(resumes)
    if found is None:
        raise SessionNotFoundError
    if plan.resumption is not None and last_call(found, call_id) is None:
        # The CLI would wait for a prompt.
        raise CallNotFoundError
    return KeptSession(store, found, is_whole=not await session.subpaths(resumes))
