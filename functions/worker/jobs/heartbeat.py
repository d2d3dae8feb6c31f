"""The heartbeat of a running job: renews its lease, and publishes what has changed in the same round trip."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.jobs.cost import CostReport
from functions.worker.jobs.progress import Progress
from functions.worker.jobs.text_pieces import TextPieces
from shared.logs import event
from shared.store.callers.spending import Spend
from shared.store.jobs import claims

log = logging.getLogger("worker.heartbeat")

# The lease is renewed at least this often, s. The renewal also notices a cancellation whose message was lost.
_RENEW_EVERY = 0.75
# How long the end of a job waits for the last piece of its text to be published, s.
_FLUSH_WITHIN = 1.0
# New text is published after this pause at first, s. The pause grows with the age of the job, so that a job of a day
# publishes few more pieces than a job of minutes.
_PIECE_EVERY, _PIECES = 0.04, 2000


class Heartbeat:
    """Keeps the claim of a running job, with the progress, the text and the cost of its run."""

    def __init__(self, client: redis.asyncio.Redis, claim: claims.Claim, spends: Callable[[], Sequence[Spend]]) -> None:
        """Take the cost of the run so far from `spends`."""
        self._client = client
        self._claim = claim
        self._progress = Progress()
        self._text = TextPieces()
        self._cost = CostReport(spends)
        self._changed = asyncio.Event()
        self._failing = False
        # One renewal at a time, so that no piece of text overtakes an earlier one.
        self._renewing = asyncio.Lock()

    def add_text(self, text: str) -> None:
        """Take text that the model wrote."""
        self._progress.add(text)
        self._text.add(text)
        self._changed.set()

    async def run(self) -> None:
        """Renew until the claim is lost; a store that does not answer does not end the run."""
        started = asyncio.get_running_loop().time()
        holds = True
        while holds:
            await asyncio.sleep(max(_PIECE_EVERY, (asyncio.get_running_loop().time() - started) / _PIECES))
            with suppress(TimeoutError):
                async with asyncio.timeout(_RENEW_EVERY):
                    await self._changed.wait()
            self._changed.clear()
            holds = await self._renew()

    async def flush(self) -> None:
        """Publish the rest of the text, if the store takes it in time: the result of the job holds all of it."""
        if not self._text.is_empty:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_WITHIN):
                    await self._renew(last=True)

    async def _renew(self, *, last: bool = False) -> bool:
        async with self._renewing:
            number, text = self._text.next(last=last)
            cost = self._cost.next()
            try:
                holds = await claims.renew(self._client, self._claim, self._progress.percent, number, text, cost)
            except RedisError:
                if not self._failing:
                    event(log, "lease_not_renewed", logging.WARNING, job_id=self._claim.job_id)
                self._failing = True
                return True
            self._failing = False
            self._text.confirm()
            self._cost.confirm()
            return holds
