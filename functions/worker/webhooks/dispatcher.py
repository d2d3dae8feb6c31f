"""The webhook dispatcher: leases due deliveries from the outbox and sends them."""

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
from functions.worker.webhooks import delivery_trace
from functions.worker.webhooks.attempt import next_step, post
from functions.worker.webhooks.transport import DeliveryTransport, current_caller
from shared import signing
from shared.api.batch_models import BatchEvent
from shared.api.views import batch_event, budget_event, schedule_event, webhook_event, webhook_id
from shared.api.webhook_models import BudgetEvent, ScheduleEvent, WebhookEvent
from shared.configuration.settings import WorkerSettings
from shared.egress import targets
from shared.logs import event
from shared.store import keys
from shared.store.jobs.batches import StoredBatch
from shared.store.redis import failures
from shared.store.webhooks import outbox, signing_secrets

log = logging.getLogger("worker.dispatcher")

# Attempts at once: over all callers, of whom each has half at most; and of one caller to one host.
AT_ONCE, PER_HOST = 256, 8
# Seconds between two polls of the outbox: no message announces the end of a lease, or that Redis is back.
_POLL_EVERY = 1.0


def event_of(
    webhook: outbox.Webhook, public_url: str | None = None
) -> WebhookEvent | BatchEvent | BudgetEvent | ScheduleEvent:
    """Return the event that a delivery carries; `public_url` is where people reach the gateway."""
    if isinstance(webhook.subject, outbox.NearlySpent):
        return budget_event(webhook.subject, webhook.at)
    if isinstance(webhook.subject, outbox.Paused):
        return schedule_event(webhook.subject, webhook.at)
    if isinstance(webhook.subject, StoredBatch):
        return batch_event(webhook.subject, webhook.at)
    return webhook_event(webhook.subject, webhook.event, webhook.at, webhook.request_id, webhook.metadata, public_url)


def _ids(webhook: outbox.Webhook) -> dict[str, str]:
    """Return the field of a log event that names the job, the batch, the schedule or the caller."""
    if isinstance(webhook.subject, outbox.Paused):
        return {"schedule": webhook.subject.schedule}
    if isinstance(webhook.subject, outbox.NearlySpent):
        return {"caller": webhook.subject.caller}
    if isinstance(webhook.subject, StoredBatch):
        return {"batch_id": webhook.subject.batch_id}
    return {"job_id": webhook.subject.job_id}


class Dispatcher:
    """Sends due deliveries until a stop is requested.

    Every attempt is leased: when a dispatcher dies, another repeats its attempts after their leases. So a delivery is
    sent at least once, and never again once a 2xx is recorded.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: WorkerSettings, *, lease_for: int = outbox.LEASE) -> None:
        self._client = client
        self._settings = settings
        self._lease_for = lease_for
        self._wake = asyncio.Event()
        self._busy: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._attempts: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(
            transport=DeliveryTransport(settings.webhook_allowed_networks, connections=AT_ONCE),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 -- the whole attempt has one
        )

    async def run(self, stop: asyncio.Event, grace: float) -> None:
        """Deliver until `stop`; then lease nothing more, and give running attempts `grace` seconds to end."""
        listener = asyncio.create_task(self._follow_outbox())
        stopper = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                self._wake.clear()
                wait = await self._begin_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
        finally:
            if self._attempts:
                await asyncio.wait(self._attempts, timeout=grace)
            await end(listener, stopper, *self._attempts)
            await self._http.aclose()

    async def _begin_due(self) -> float:
        """Begin the due attempts for which there is room; return the seconds until there may be more."""
        room = AT_ONCE - len(self._attempts)
        if room <= 0:
            return _POLL_EVERY
        try:
            leased, upcoming = await outbox.lease(
                self._client, room, self._busy, per_host=PER_HOST, lease_for=self._lease_for
            )
            found = await asyncio.gather(*(outbox.read(self._client, one) for one in leased))
        except (RedisError, OSError) as error:
            failures.report(self._settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(_POLL_EVERY)
            return 0
        for webhook in found:
            if webhook is not None:
                self._busy[webhook.caller][webhook.host] += 1
                task = asyncio.create_task(self._attempt(webhook))
                self._attempts.add(task)
                task.add_done_callback(partial(self._ended, webhook.caller, webhook.host))
        return min(_POLL_EVERY, upcoming if upcoming is not None else _POLL_EVERY)

    async def _attempt(self, webhook: outbox.Webhook) -> None:
        lease_ends = time.monotonic() + self._lease_for / 1000
        current_caller.set(webhook.caller)
        trace = delivery_trace.begin(webhook, self._settings)
        try:
            secrets = webhook.secrets
            if webhook.caller == keys.ANONYMOUS and self._settings.webhook_secret:
                secrets = [secret.get_secret_value() for secret in self._settings.webhook_secret]
            elif not secrets:
                secrets = await signing_secrets.of_gateway(self._client)
            body = event_of(webhook, self._settings.public_url).model_dump_json(by_alias=True)
            headers = signing.headers(webhook_id(webhook.leased.name), body, secrets)
            response = await post(self._http, webhook.url, body, headers | delivery_trace.headers_of(trace))
            outcome, pause = next_step(response, webhook.attempts, self._settings.webhook_retry_schedule)
            if trace is not None:
                trace.end(webhook, response.result)
            await self._record(webhook, outcome, response.result, pause, lease_ends)
        except RedisError as error:
            # The lease ends by itself, and the attempt is repeated.
            event(log, "attempt_not_recorded", logging.WARNING, error=type(error).__name__, **_ids(webhook))

    def _ended(self, caller: str, host: str, task: "asyncio.Task[None]") -> None:
        self._attempts.discard(task)
        self._busy[caller] -= Counter((host,))
        if not self._busy[caller]:
            del self._busy[caller]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("attempt_failed", exc_info=error)

    async def _record(
        self,
        webhook: outbox.Webhook,
        outcome: outbox.AttemptOutcome,
        result: outbox.AttemptResult,
        pause: int,
        lease_ends: float,
    ) -> None:
        """Record an attempt while its lease lasts: an attempt without a record is repeated."""
        while True:
            try:
                held = await outbox.record(
                    self._client, webhook.leased, outcome, result,
                    pause=pause, disable_after=self._settings.webhook_disable_after,
                )  # fmt: skip
                break
            except (RedisError, OSError):
                if time.monotonic() > lease_ends:
                    raise
                await asyncio.sleep(_POLL_EVERY / 4)
        event(
            log, "delivery_attempted" if held else "delivery_lease_lost", logging.INFO, **_ids(webhook),
            request_id=webhook.request_id, outcome=outcome, status=result.status, error=result.error,
            ms=result.duration,
        )  # fmt: skip

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _follow_outbox(self) -> None:
        """Subscribe to new deliveries; the outbox is polled every second as a fallback."""
        while True:
            try:
                url = self._settings.budget_webhook_url
                await outbox.warn_operator_at(self._client, (str(targets.parse(url)), url) if url else None)
                async for _ in outbox.due(self._client):
                    self._wake.set()
            except (RedisError, OSError) as error:
                failures.report(self._settings.redis_address, error, beside_pool=True)
            await asyncio.sleep(_POLL_EVERY)
