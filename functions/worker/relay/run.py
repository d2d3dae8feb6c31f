"""One run as its relay sees it: limits, cost, errors of Claude, and how long it waits for what."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from functions.worker.relay.egress import Connection, Egress
from functions.worker.relay.metering import AnswerMeter, Ledger
from functions.worker.relay.models import resolve
from functions.worker.relay.policy import Limits, Policy, Refusal
from functions.worker.relay.prices import base_name
from functions.worker.relay.request import RelayRequest
from functions.worker.relay.retrying import code_of
from shared.api.times import rfc3339
from shared.api.vocabulary import ErrorCode
from shared.store.jobs.waiting import Cloning, Waiting

# Failed requests that are kept of one run: the first and the latest.
_FIRST, _LATEST = 5, 45
_LONGEST_MESSAGE = 300
# Seconds for which a model is overloaded before the next one is used.
OVERLOADED_FOR = 5.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A request to Claude that failed: `status` is None when there was no HTTP answer; `retry_after` in s."""

    status: int | None
    type: str | None
    message: str | None
    request_id: str | None = None
    retry_after: float | None = None

    @property
    def code(self) -> ErrorCode:
        """The error code that it has for clients."""
        return code_of(self.status, self.type)


@dataclass(frozen=True, slots=True)
class Ended:
    """The reason for which the relay ended a run; Claude accepts no request for `retry_after` s."""

    code: ErrorCode
    retry_after: float | None = None


class Watcher:
    """Receives the events of a run's relay; this base class ignores them."""

    def failed(self, failure: Failure) -> None:
        """Receive a request that failed."""

    def retries(self, code: ErrorCode, delay: float, attempt: int) -> None:
        """Receive a pause of so many seconds before the next try."""

    def waits(self, why: Waiting | Cloning | None) -> None:
        """Receive why the run waits now; None when it does not."""

    def connected(self, connection: Connection) -> None:
        """Receive a connection of the run's tools when it has ended."""


class RelayedRun:
    """The state of one run, from the moment that its job is taken."""

    def __init__(
        self, policy: Policy, watcher: Watcher | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.limits = Limits(policy)
        self.ledger = Ledger()
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.failures: list[dict[str, Any]] = []
        self.answered = 0
        # The meter of the latest turn.
        self.turn: AnswerMeter | None = None
        # Whether any answer has begun: before that no tool can have run, so that the requests are the CLI's own.
        self.is_reached = False
        # Set when the first request is on its way to Claude: the CLI has nothing to do until the answer comes.
        self.requested = asyncio.Event()
        self._watcher = watcher or Watcher()
        self.egress = None if policy.egress is None else Egress(policy.egress, self._watcher.connected)
        self._fallbacks = [resolve(model, environ or {}) for model in policy.fallbacks]
        self._models: list[str] = []
        self._overloaded_since: float | None = None
        self._waiting: dict[object, Waiting] = {}
        self._asking = 0

    def check(self, request: RelayRequest) -> Refusal | None:
        """Return why a request is refused, and end the run if nothing else can follow."""
        refusal = self.limits.check(request, self.ledger.cost)
        if self.turn is not None and self.turn.is_incomplete and self.limits.counts(request):
            # The CLI would let the model continue; the run ends as soon as the CLI has passed the stop reason on.
            refusal = Refusal("output_too_large", "The answer has reached its limit")
        if refusal is not None and refusal.ends_run:
            self.end(Ended(refusal.code))
        return refusal

    def completed(self, request: RelayRequest) -> RelayRequest:
        """Return a request with the client's tools; raises BadRequestError after a call of one."""
        tools = self.limits.policy.client_tools
        if tools is None or not self.limits.counts(request):
            return request
        return replace(request, body=tools.added_to(request.body))

    def end(self, why: Ended) -> None:
        """End the run; the first reason stands."""
        if not self.ended.done():
            self.ended.set_result(why)

    def model_for(self, request: RelayRequest) -> str:
        """Return the model to ask: the run's own is replaced by the fallback that it has come to."""
        if not self._models and self.limits.counts(request):
            self._models = [request.model, *self._fallbacks]
            self._first = request.model
        return self._models[0] if self._models and request.model == self._first else request.model

    def note(self, failure: Failure) -> None:
        """Keep a request that failed."""
        message = failure.message[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode() if failure.message else None
        kept = {"status": failure.status, "type": failure.type, "message": message, "requestId": failure.request_id}
        self.failures.append({"at": rfc3339(int(time.time() * 1000)), **kept})
        if len(self.failures) > _FIRST + _LATEST:
            del self.failures[_FIRST]
        self._watcher.failed(failure)

    def falls_back(self, model: str, failure: Failure, delay: float) -> tuple[float, bool]:
        """Return the pause after a failure, and whether it is the last before the next model is used."""
        if failure.code != "overloaded" or len(self._models) < 2 or model != self._models[0]:
            return delay, False
        now = asyncio.get_running_loop().time()
        if self._overloaded_since is None:
            self._overloaded_since = now
        left = self._overloaded_since + OVERLOADED_FOR - now
        return (max(left, 0.0), True) if delay >= left else (delay, False)

    def fall_back(self, model: str) -> None:
        """Use the next model from now to the end of the run, unless another request has already switched."""
        if len(self._models) > 1 and model == self._models[0]:
            self._models.pop(0)
            self._overloaded_since = None

    def wait(self, key: object, failure: Failure, delay: float, tries: int) -> None:
        """Note that a request waits so many seconds for its next try."""
        now = int(time.time() * 1000)
        before = self._waiting.get(key)
        since = now if before is None else before.since
        self._waiting[key] = Waiting(failure.code, since, now + int(delay * 1000))
        self._watcher.retries(failure.code, delay, tries)
        self._watcher.waits(self.waiting)

    def stop_waiting(self, key: object) -> None:
        """Note that a request does not wait any more."""
        if self._waiting.pop(key, None) is not None:
            self._watcher.waits(self.waiting)

    def answering_model(self, name: str | None) -> str | None:
        """Return the model that answered: the one that the CLI names, unless no such model has answered."""
        known = [spend.model for spend in self.ledger.spends]
        if not known or (name is not None and base_name(name) in map(base_name, known)):
            return name
        return known[-1]

    def confirms(self, code: ErrorCode | None) -> bool:
        """Return whether what the CLI reports is known to come from Claude: a tool can write to the CLI's output.

        Until an answer has begun no tool can have run, so that Claude refuses the gateway and not what a tool asked.
        """
        if code in {"authentication_failed", "billing_error"}:
            return not self.is_reached and bool(self.failures)
        return code != "rate_limited" or any(failure["status"] == 429 for failure in self.failures)

    def overload_is_over(self, model: str) -> None:
        """Note that a model answers: an answer of another model than the run's says nothing of an overload."""
        if self._models and model == self._models[0]:
            self._overloaded_since = None

    @property
    def waiting(self) -> Waiting | None:
        """The reason of the wait, from the first waiting request to the next try; None when the run does not wait."""
        if not self._waiting:
            return None
        next_one = min(self._waiting.values(), key=lambda one: one.retry_at)
        return Waiting(next_one.code, min(one.since for one in self._waiting.values()), next_one.retry_at)

    @property
    def asking(self) -> int:
        """The number of requests that wait for their first byte."""
        return self._asking

    def asks(self, change: int) -> None:
        """Note that one more or one less request waits for its first byte."""
        self._asking += change
        self.requested.set()
