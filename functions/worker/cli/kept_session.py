"""The session of a run: what it continues, and where its transcript is stored."""

from collections.abc import Sequence

from functions.worker.cli.history import HistorySession, transcript
from functions.worker.cli.plan import RunPlan
from functions.worker.cli.transcripts import ResumedSession
from functions.worker.cli.turns import Block
from functions.worker.cli.warm import KeptSession
from shared.store.jobs.sessions import StagedSession


class SessionNotFoundError(Exception):
    """The session that a run continues does not exist."""


async def kept_session(plan: RunPlan, session: StagedSession | None, attached: Sequence[Block]) -> KeptSession | None:
    """Return the session of a run, with the lines of a history or of the session that it continues."""
    if plan.history:
        lines = transcript(plan.history, attached, plan.options.model)
        return KeptSession(HistorySession(lines, session), lines)
    if session is None:
        return None
    if plan.session is not None and plan.resumption is not None:
        found = await session.transcript(plan.session.session_id)
        if found is None:
            raise SessionNotFoundError
        return KeptSession(ResumedSession(session, plan.resumption.kept["callId"]), found)
    resumes = plan.session.resumes if plan.session else None
    if not resumes:
        return KeptSession(session)
    found = await session.transcript(resumes)
    if found is None:
        raise SessionNotFoundError
    return KeptSession(session, found, is_whole=not await session.subpaths(resumes))
