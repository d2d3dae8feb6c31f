"""The deliverer: takes webhooks that are due from the outbox, and sends them."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from contextlib import suppress
from functools import partial

import httpx
import redis.asyncio
from redis.exceptions import RedisError

from functions.worker.pool.tasks import end
from functions.worker.webhooks.attempt import judge, post
from functions.worker.webhooks.transport import DeliveryTransport, caller
from shared import signing
from shared.api.batch_models import BatchEvent
from shared.api.views import batch_event, webhook_event, webhook_id
from shared.api.webhook_models import WebhookEvent
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.store import keys
from shared.store.jobs.batches import StoredBatch
from shared.store.redis import failures
from shared.store.webhooks import outbox, signing_secrets

log = logging.getLogger("worker.deliver")

# How many are sent at once: over all callers, of whom each has half at most, and of one caller to one host.
AT_ONCE, PER_HOST = 256, 8
# Nobody tells when a lease ends, or when Redis is back; s.
_LOOK_EVERY = 1.0


def event_of(webhook: outbox.Webhook) -> WebhookEvent | BatchEvent:
    """Return the event that a webhook delivers."""
    if isinstance(webhook.subject, StoredBatch):
        return batch_event(webhook.subject, webhook.at)
    return webhook_event(webhook.subject, webhook.event, webhook.at, webhook.request_id, webhook.metadata)


def _ids(webhook: outbox.Webhook) -> dict[str, str]:
    """Return the field of a log event that names the job, or the batch."""
    if isinstance(webhook.subject, StoredBatch):
        return {"batch_id": webhook.subject.batch_id}
    return {"job_id": webhook.subject.job_id}


class Deliverer:
    """Sends what is due until it is told to stop.

    Every try is leased: a deliverer that dies leaves its tries to whoever looks after the lease. So a webhook is sent
    at least once, and never again once a 2xx is recorded.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: WorkerSettings, *, lease_for: int = outbox.LEASE) -> None:
        self._client = client
        self._settings = settings
        self._lease_for = lease_for
        self._wake = asyncio.Event()
        self._busy: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._tries: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(
            transport=DeliveryTransport(settings.webhook_allowed_networks, connections=AT_ONCE),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 -- the whole try has one
        )

    async def run(self, stop: asyncio.Event, grace: float) -> None:
        """Deliver until `stop`; then take nothing new, and give what is being sent `grace` s to end."""
        listener = asyncio.create_task(self._listen())
        stopper = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                self._wake.clear()
                wait = await self._take()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)
        finally:
            if self._tries:
                await asyncio.wait(self._tries, timeout=grace)
            await end(listener, stopper, *self._tries)
            await self._http.aclose()

    async def _take(self) -> float:
        """Begin with what is due and has room; return s until there may be more."""
        room = AT_ONCE - len(self._tries)
        if room <= 0:
            return _LOOK_EVERY
        try:
            leased, upcoming = await outbox.lease(
                self._client, room, self._busy, per_host=PER_HOST, lease_for=self._lease_for
            )
            found = await asyncio.gather(*(outbox.read(self._client, one) for one in leased))
        except (RedisError, OSError) as error:
            failures.report(self._settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(_LOOK_EVERY)
            return 0
        for webhook in found:
            if webhook is not None:
                self._busy[webhook.caller][webhook.host] += 1
                one = asyncio.create_task(self._try(webhook))
                self._tries.add(one)
                one.add_done_callback(partial(self._ended, webhook.caller, webhook.host))
        return min(_LOOK_EVERY, upcoming if upcoming is not None else _LOOK_EVERY)

    async def _try(self, webhook: outbox.Webhook) -> None:
        lease_ends = time.monotonic() + self._lease_for / 1000
        caller.set(webhook.caller)
        try:
            secrets = webhook.secrets
            if webhook.caller == keys.ANONYMOUS and self._settings.webhook_secret:
                secrets = [secret.get_secret_value() for secret in self._settings.webhook_secret]
            elif not secrets:
                secrets = await signing_secrets.of_gateway(self._client)
            told = event_of(webhook).model_dump_json(by_alias=True)
            headers = signing.headers(webhook_id(webhook.leased.name), told, secrets)
            answer = await post(self._http, webhook.url, told, headers)
            outcome, pause = judge(answer, webhook.tries, self._settings.webhook_retry_schedule)
            await self._record(webhook, outcome, answer.seen, pause, lease_ends)
        except RedisError as error:
            # The lease ends by itself, and the try is made again.
            event(log, "try_not_recorded", logging.WARNING, error=type(error).__name__, **_ids(webhook))

    def _ended(self, of: str, host: str, one: "asyncio.Task[None]") -> None:
        self._tries.discard(one)
        self._busy[of] -= Counter((host,))
        if not self._busy[of]:
            del self._busy[of]
        self._wake.set()
        if not one.cancelled() and (error := one.exception()) is not None:
            log.error("try_failed", exc_info=error)

    async def _record(
        self, webhook: outbox.Webhook, outcome: outbox.TryOutcome, seen: outbox.Seen, pause: int, lease_ends: float
    ) -> None:
        """Record a try, for as long as it is ours to record: one that is not would be made again."""
        while True:
            try:
                held = await outbox.record(
                    self._client, webhook.leased, outcome, seen,
                    pause=pause, disable_after=self._settings.webhook_disable_after,
                )  # fmt: skip
                break
            except (RedisError, OSError):
                if time.monotonic() > lease_ends:
                    raise
                await asyncio.sleep(_LOOK_EVERY / 4)
        event(
            log, "webhook_tried" if held else "webhook_lease_lost", logging.INFO, **_ids(webhook),
            request_id=webhook.request_id, outcome=outcome, status=seen.status, error=seen.error,
            ms=seen.duration,
        )  # fmt: skip

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _listen(self) -> None:
        """Subscribe to new webhooks. The outbox is read every second as a fallback while the subscription is down."""
        while True:
            try:
                async for _ in outbox.due(self._client):
                    self._wake.set()
            except (RedisError, OSError) as error:
                failures.report(self._settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(_LOOK_EVERY)
