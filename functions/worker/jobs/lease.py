"""The lease of a running job: renewed while its slot lives, together with its progress and the text of its answer."""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress

import redis.asyncio
from redis.exceptions import RedisError

from shared.store.callers.spending import Spend, to_json
from shared.store.jobs import claims

log = logging.getLogger("worker.lease")

# At least this often the lease is renewed, and the state read again, for a message of a cancellation can be lost; s.
_LEASE_EVERY = 0.75
# How long the end of a job waits for the last piece of its text to be published; s.
_REST_WITHIN = 1.0
# What is written is told so often at first; later less: a job of a day has few more pieces than one of minutes; s.
_PIECE_EVERY, _PIECES = 0.04, 2000
# Nobody knows how long an answer will be: after this many characters progress is at two thirds of its way.
_USUAL_ANSWER = 1500


class Lease:
    """What a slot tells of the job that it runs, from `keep` until the claim is lost."""

    def __init__(self, client: redis.asyncio.Redis, claim: claims.Claim) -> None:
        self._client = client
        self._claim = claim
        # What the run has cost so far; set by whoever runs it.
        self.spends: Callable[[], Sequence[Spend]] = list
        self._spent = ""
        self._written = 0
        self._pending = ""
        self._piece = (0, "")
        self._changed = asyncio.Event()
        self._failing = False
        # One piece at a time: a later one must not come before it.
        self._telling = asyncio.Lock()

    def hear(self, text: str) -> None:
        """Take text that the model wrote."""
        self._written += len(text)
        self._pending += text
        self._changed.set()

    @property
    def progress(self) -> int:
        """How far the run is: 10 when started, up to 90 while the model writes."""
        return 10 + int(80 * (1 - math.exp(-self._written / _USUAL_ANSWER)))

    async def keep(self) -> None:
        """Tell and renew until the claim is lost; a store that is away changes nothing."""
        started = asyncio.get_running_loop().time()
        holds = True
        while holds:
            await asyncio.sleep(max(_PIECE_EVERY, (asyncio.get_running_loop().time() - started) / _PIECES))
            try:
                async with asyncio.timeout(_LEASE_EVERY):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            holds = await self._tell()

    async def tell_the_rest(self) -> None:
        """Tell what has not been told, if the store takes it: the end of the job comes next."""
        if self._pending or self._piece[1]:
            # The result holds the whole text: a store that is slow or away must not delay it.
            with suppress(TimeoutError):
                async with asyncio.timeout(_REST_WITHIN):
                    await self._tell(last=True)

    async def _tell(self, *, last: bool = False) -> bool:
        async with self._telling:
            number, text = self._piece
            if not text:
                number += 1
                text, self._pending = _whole(self._pending, last=last)
                self._piece = number, text
            spent = to_json(self.spends())
            news = spent if spent != self._spent else ""
            try:
                holds = await claims.keep(self._client, self._claim, self.progress, number, text, news)
            except RedisError:
                if not self._failing:
                    log.warning("lease_not_renewed", extra={"fields": {"job_id": self._claim.job_id}})
                self._failing = True
                return True
            self._failing = False
            self._piece, self._spent = (number, ""), spent
            return holds


def _whole(text: str, *, last: bool) -> tuple[str, str]:
    """Split off half a surrogate pair, whose other half is still to come; what cannot be text is replaced."""
    cut = len(text) - 1 if text and not last and "\ud800" <= text[-1] <= "\udbff" else len(text)
    return text[:cut].encode("utf-16", "surrogatepass").decode("utf-16", "replace"), text[cut:]
