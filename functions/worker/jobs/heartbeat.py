"""The heartbeat of a running job: renews its lease, and publishes what has changed in the same round trip."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.cli.publisher import Publisher
from functions.worker.jobs.cost import CostReport
from functions.worker.jobs.pieces import Pieces
from functions.worker.jobs.progress import Progress
from shared.logs import event
from shared.store.callers.spending import Spend
from shared.store.jobs import claims
from shared.store.jobs.steps import Message

log = logging.getLogger("worker.heartbeat")

# The lease is renewed at least this often, s. The renewal also notices a cancellation whose message was lost.
_RENEW_EVERY = 0.75
# How long the end of a job waits for the last piece of its text to be published, s.
_FLUSH_WITHIN = 1.0
# New text is published after this pause at first, s. The pause grows with the age of the job, so that a job of a day
# publishes few more pieces than a job of minutes.
_PIECE_EVERY, _PIECES = 0.04, 2000


class Heartbeat(Publisher):
    """Keeps the claim of a running job: writes progress, text, steps and cost, and fetches messages to the job."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        claim: claims.Claim,
        spends: Callable[[], Sequence[Spend]],
        changed: asyncio.Event | None = None,
        received: int = 0,
    ) -> None:
        """Take the cost of the run so far from `spends`; renew soon when `changed` is set.

        An earlier run of the job has `received` so many of its messages, and its transcript has them.
        """
        self._client = client
        self._claim = claim
        self._progress = Progress()
        self._pieces = Pieces()
        self._cost = CostReport(spends)
        self._changed = changed or asyncio.Event()
        # Messages from the store, how many, and the run that takes them.
        self._messages: list[Message] = []
        self._fetched = received
        self._take: Callable[[Sequence[Message]], None] | None = None
        self._failing = False
        # One renewal at a time, so that no piece of text overtakes an earlier one.
        self._renewing = asyncio.Lock()

    def add_text(self, text: str) -> None:
        """Take text that the model wrote."""
        self._progress.add(text)
        self._pieces.add(text)
        self._changed.set()

    def add_step(self, step_id: str, data: str, *, is_new: bool) -> None:
        """Take a step that begins or changes."""
        self._pieces.add_step("step" if is_new else "end", step_id, data)
        self._changed.set()

    def count_step(self) -> None:
        """Take a step that is not published."""
        self._pieces.count_step()

    def pass_messages_to(self, take: Callable[[Sequence[Message]], None]) -> None:
        """Pass the messages to the job to its run."""
        self._take = take
        self._pass_messages()

    def _pass_messages(self) -> None:
        if self._take is not None and self._messages:
            messages, self._messages = self._messages, []
            self._take(messages)

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
        """Publish the rest of text and steps, if the store takes it in time: the result holds all of the text."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_WITHIN):
                while not self._pieces.is_empty and await self._renew(last=True) and not self._failing:
                    pass

    async def close(self) -> None:
        """Publish the rest, and let the job take no more messages unless the store has some, in one round trip."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_WITHIN):
                await self._renew(last=True, closes=True)

    async def _renew(self, *, last: bool = False, closes: bool = False) -> bool:
        async with self._renewing:
            number, entries = self._pieces.next(last=last)
            cost = self._cost.next()
            try:
                renewed = await claims.renew(
                    self._client, self._claim, self._progress.percent, number, entries, cost, taken=self._fetched,
                    closes=closes,
                )  # fmt: skip
            except RedisError:
                if not self._failing:
                    event(log, "lease_not_renewed", logging.WARNING, job_id=self._claim.job_id)
                self._failing = True
                return True
            self._failing = False
            self._pieces.confirm()
            self._cost.confirm()
            if renewed is None:
                return False
            self._fetched += len(renewed.messages)
            self._messages += renewed.messages
            self._pass_messages()
            if not self._pieces.is_empty:
                self._changed.set()
            return True
