"""One delivery attempt: send the request, and decide what follows its response."""

import asyncio
import email.utils
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpcore
import httpx

from shared.egress.targets import EgressRefused
from shared.store.webhooks.outbox import AttemptOutcome, AttemptResult

# Seconds for a whole attempt: name resolution, connection, request and response.
ATTEMPT_TIMEOUT = 15.0
# Bytes of a response body that are read, so that the connection can be used again; they are discarded.
_MOST_OF_BODY = 65_536
# Seconds that a Retry-After header may ask for at most.
_LONGEST_PAUSE = 86_400


@dataclass(frozen=True, slots=True)
class Response:
    """The response to an attempt, or its failure; `retry_after` is in seconds."""

    result: AttemptResult
    retry_after: int = 0


async def post(client: httpx.AsyncClient, url: str, body: str, headers: Mapping[str, str]) -> Response:
    """Post a delivery once. A failure is returned too, described without any text of the receiver's."""
    started = time.monotonic()
    status: int | None = None
    error: str | None = None
    retry_after = 0
    try:
        async with asyncio.timeout(ATTEMPT_TIMEOUT):
            sent = {"content-type": "application/json", "user-agent": "claude-api-gateway", **headers}
            async with client.stream("POST", url, content=body.encode(), headers=sent) as response:
                status = response.status_code
                retry_after = _seconds(response.headers.get("retry-after", ""))
                error = _error_of_status(status)
                size = 0
                async for part in response.aiter_raw():
                    size += len(part)
                    if size > _MOST_OF_BODY:
                        break
    except (TimeoutError, httpcore.TimeoutException):
        # With a status the receiver has answered, and only its body has not ended.
        error = error if status else f"no answer within {ATTEMPT_TIMEOUT:g} s"
    except EgressRefused as refusal:
        error = f"not sent: its host {refusal}"
    except httpx.InvalidURL:
        error = "not sent: its URL is not valid"
    except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError, ssl.SSLError) as broken:
        error = error if status else _error_of(broken)
    return Response(AttemptResult(status, error, round((time.monotonic() - started) * 1000)), retry_after)


def next_step(response: Response, attempts: int, schedule: Sequence[int]) -> tuple[AttemptOutcome, int]:
    """Return the outcome of an attempt and the seconds until the next; `attempts` were made before in this schedule."""
    status = response.result.status
    if status is not None and 200 <= status < 300:
        return "delivered", 0
    # 410 Gone: the receiver asks for no more attempts.
    if status == 410 or attempts >= len(schedule):
        return "abandoned", 0
    return "retried", max(schedule[attempts], response.retry_after)


def _error_of_status(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return "redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _error_of(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate does not verify"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore.ConnectError):
        return "its name does not resolve" if "name" in str(error) else "it cannot be connected to"
    return "the connection broke" if isinstance(error, httpcore.NetworkError) else "its answer is not HTTP"


def _seconds(retry_after: str) -> int:
    """Return the seconds of a Retry-After header, which may be a date; 0 without a valid one."""
    if retry_after.isdecimal() and retry_after.isascii():
        return min(int(retry_after[:9]), _LONGEST_PAUSE)
    try:
        when = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):
        return 0
    return min(max(0, round(when - time.time())), _LONGEST_PAUSE)
