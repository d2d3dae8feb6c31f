"""One request of a run: checked, sent until Claude answers or the clock ends, and passed back."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from functions.worker.relay.answer import Answer, UpstreamError
from functions.worker.relay.credential import Credential
from functions.worker.relay.heads import Head, answer_head
from functions.worker.relay.policy import Refusal
from functions.worker.relay.request import BadRequestError, parse
from functions.worker.relay.retrying import is_refusal, is_transient, pause, retry_after
from functions.worker.relay.run import Ended, Failure, RelayedRun
from functions.worker.relay.upstream import Upstream
from functions.worker.relay.upstream_connection import UpstreamConnection

# The media types of Claude's answers; any other comes from a server in between.
_TYPES = ("text/event-stream", "application/json")
_ENCODINGS = {"", "identity", "gzip", "deflate"}
# Characters of an error's type and of a request id that are kept.
_LONGEST_NAME = 100


class Reply(Protocol):
    """Receives the answer to a run's request."""

    def write(self, data: bytes) -> None:
        """Write bytes."""

    @property
    def is_full(self) -> bool:
        """Whether what was written has to leave first."""
        ...

    def on_room(self, resume: Any) -> None:
        """Call `resume` when there is room again."""

    def finish(self, *, keep: bool) -> None:
        """End the answer; without `keep` the connection too."""


async def exchange(head: Head, method: str, body: bytes, reply: Reply, run: RelayedRun, upstream: Upstream) -> None:
    """Answer one request of a run. Cancelling it closes the connection to Claude at once."""
    try:
        request = run.completed(parse(method, head.target.decode("latin-1"), head.headers, body))
    except BadRequestError as error:
        refuse(reply, Refusal("invalid_request", str(error)))
        return
    refusal = run.check(request)
    if refusal is not None:
        refuse(reply, refusal)
        return
    key = object()
    run.asks(+1)
    waits = True
    try:
        tries = 0
        while True:
            model = run.model_for(request)
            found = await ask(
                upstream, request.target, request.headers, request.body_for(model), run.limits.policy.credential
            )
            if not isinstance(found, Failure):
                run.stop_waiting(key)
                run.asks(-1)
                waits = False
                await _pass(*found, reply, run, model, upstream, counts=run.limits.counts(request))
                return
            run.note(found)
            tries += 1
            if not _is_retried(found, run):
                if found.status is not None and found.status < 400:
                    # No redirect is followed: the credential is for one place alone.
                    run.end(Ended(found.code))
                _hand_on(reply, found)
                return
            delay, is_last = run.falls_back(model, found, pause(tries, found.retry_after))
            if asyncio.get_running_loop().time() + delay >= run.limits.policy.deadline:
                # The job would end first: it ends now, with what it has waited for.
                run.end(Ended(found.code, delay))
                _hand_on(reply, found)
                return
            run.wait(key, found, delay, tries)
            await asyncio.sleep(delay)
            if is_last:
                run.fall_back(model)
                tries = 0
    finally:
        run.stop_waiting(key)
        if waits:
            run.asks(-1)


async def ask(
    upstream: Upstream, target: str, headers: Mapping[str, str], body: bytes, credential: Credential | None
) -> tuple[Answer, UpstreamConnection] | Failure:
    """Send a request once; return its answer when the first byte is there, or why it failed."""
    try:
        answer, connection = await upstream.ask(target, headers, body, credential)
    except UpstreamError as error:
        return Failure(None, None, str(error))
    failure = _failure(answer)
    if failure is None:
        return answer, connection
    if not answer.ended.done():
        answer.abort()
    hide = (credential or upstream.credential).hide_in
    kind, request_id = _name(hide(failure.type)), _name(hide(failure.request_id))
    return replace(failure, type=kind, message=hide(failure.message), request_id=request_id)


def _name(text: Any) -> str | None:
    """Return a short text of the upstream's, with characters that can be logged and stored."""
    return text[:_LONGEST_NAME].encode("utf-8", "replace").decode() if isinstance(text, str) else None


def _failure(answer: Answer) -> Failure | None:
    """Return what is wrong with an answer whose first byte is there; None when it is Claude's."""
    head, body = answer.head, answer.body
    request_id = head.headers.get("request-id")
    wanted = retry_after(head.headers)
    if head.status == 200:
        kind = head.headers.get("content-type", "").lower()
        if not kind.startswith(_TYPES) or not body:
            return Failure(None, "unexpected_content", "The answer is not one of the Messages API", request_id)
        if head.headers.get("content-encoding", "") not in _ENCODINGS:
            return Failure(None, "unexpected_encoding", "The answer is compressed in an unknown way", request_id)
        # Claude may find out that it is overloaded when the status has left.
        if not body.startswith(b"event: error"):
            return None
        error = _error(body.partition(b"data:")[2].partition(b"\n")[0])
        return Failure(529 if error[0] == "overloaded_error" else 500, *error, request_id, wanted)
    return Failure(head.status, *_error(body), request_id, wanted)


def _error(body: bytes) -> tuple[str | None, str | None]:
    """Return type and message of an error in Claude's shape."""
    try:
        error = json.loads(body)["error"]
        return str(error["type"]), str(error["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, None


def _is_retried(failure: Failure, run: RelayedRun) -> bool:
    if failure.status is None or is_transient(failure.status):
        return True
    # A run that had answers has work to lose; one that had none shows soon that the credentials are refused.
    return is_refusal(failure.status) and run.answered > 0


async def _pass(
    answer: Answer,
    connection: UpstreamConnection,
    reply: Reply,
    run: RelayedRun,
    model: str,
    upstream: Upstream,
    *,
    counts: bool,
) -> None:
    """Pass on an answer to its end, and meter it."""
    headers = answer.head.headers
    run.is_reached = True
    meter = run.ledger.open(model)
    if counts:
        run.turn = meter
    meter.begin(headers.get("content-type", "").lower(), headers.get("content-encoding", ""))
    framed = any(name in headers for name in ("content-length", "transfer-encoding"))
    is_over = False
    try:
        reply.on_room(connection.resume)
        reply.write(answer_head(200, headers, close=not framed))
        answer.pass_to(reply, meter.feed, meter.is_between_events)
        whole = await _end_of(answer, reply, upstream.silence)
        is_over = True
        meter.end()
    finally:
        run.ledger.close(meter)
        if not is_over:
            answer.abort()
    if whole and meter.ended and meter.failure is None:
        run.answered += 1
        # The CLI asks again by itself after an empty answer.
        run.limits.turns += counts and meter.has_content
        run.overload_is_over(model)
    elif meter.failure is not None or not whole:
        kind = _name((meter.failure or {}).get("type"))
        cut = Failure(529 if kind == "overloaded_error" else None, kind, "The answer was cut")
        run.note(cut)
        run.end(Ended(cut.code))
    reply.finish(keep=whole and framed)


async def _end_of(answer: Answer, reply: Reply, silence: float) -> bool:
    """Return whether an answer ended whole; cut it when nothing comes for so many seconds although there is room."""
    received = -1
    while not (await asyncio.wait({answer.ended}, timeout=silence))[0]:
        if answer.received == received and not reply.is_full:
            answer.abort()
            answer.end(whole=False)
        received = answer.received
    return answer.ended.result()


def refuse(reply: Reply, refusal: Refusal) -> None:
    """Answer 403, at which the CLI ends: another status makes it ask again."""
    _write_error(reply, 403, "permission_error", refusal.message, {})


def _hand_on(reply: Reply, failure: Failure) -> None:
    """Pass an error of Claude's on to the CLI."""
    status = failure.status if failure.status is not None and failure.status >= 400 else 403
    headers = {"request-id": failure.request_id} if failure.request_id else {}
    _write_error(reply, status, failure.type or "api_error", failure.message or "Claude did not answer", headers)


def _write_error(reply: Reply, status: int, kind: str, message: str, headers: dict[str, str]) -> None:
    error = {"type": "error", "error": {"type": kind, "message": message}}
    body = json.dumps(error).encode()
    own = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    reply.write(answer_head(status, own, close=False) + body)
    reply.finish(keep=True)
