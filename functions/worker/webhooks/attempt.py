"""One try of a webhook: send it, and judge what came back."""

import asyncio
import email.utils
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpcore
import httpx

from shared.egress.targets import EgressRefused
from shared.store.webhooks.outbox import Seen, TryOutcome

# The whole of a try: name, connection, request and answer; s.
TRY_WITHIN = 15.0
# Read to keep the connection; never kept, never shown.
_MOST_OF_ANSWER = 65_536
# What an answer may ask for at most; s.
_LONGEST_PAUSE = 86_400


@dataclass(frozen=True, slots=True)
class Answer:
    """What a try saw; `retry_after` is s that the receiver asked for."""

    seen: Seen
    retry_after: int = 0


async def post(client: httpx.AsyncClient, url: str, body: str, headers: Mapping[str, str]) -> Answer:
    """Post a webhook once; whatever goes wrong is an answer too, and none of it holds a word of the receiver's."""
    started = time.monotonic()
    status: int | None = None
    error: str | None = None
    retry_after = 0
    try:
        async with asyncio.timeout(TRY_WITHIN):
            sent = {"content-type": "application/json", "user-agent": "claude-api-gateway", **headers}
            async with client.stream("POST", url, content=body.encode(), headers=sent) as response:
                status = response.status_code
                retry_after = _seconds(response.headers.get("retry-after", ""))
                error = _complaint(status)
                size = 0
                async for part in response.aiter_raw():
                    size += len(part)
                    if size > _MOST_OF_ANSWER:
                        break
    except (TimeoutError, httpcore.TimeoutException):
        # With a status it has answered, and only its body never ended.
        error = error if status else f"no answer within {TRY_WITHIN:g} s"
    except EgressRefused as refusal:
        error = f"not sent: its host {refusal}"
    except httpx.InvalidURL:
        error = "not sent: its URL is not valid"
    except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError, ssl.SSLError) as broken:
        error = error if status else _broken(broken)
    return Answer(Seen(status, error, round((time.monotonic() - started) * 1000)), retry_after)


def judge(answer: Answer, tries: int, schedule: Sequence[int]) -> tuple[TryOutcome, int]:
    """Say what follows a try, and after how many s; `tries` came before it since the schedule began."""
    status = answer.seen.status
    if status is not None and 200 <= status < 300:
        return "delivered", 0
    # Gone: the receiver wants no more of it.
    if status == 410 or tries >= len(schedule):
        return "abandoned", 0
    return "retried", max(schedule[tries], answer.retry_after)


def _complaint(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return "redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _broken(error: Exception) -> str:
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
    """Return the s of a Retry-After header, which may be a date; 0 for none, or for what is not one."""
    if retry_after.isdecimal() and retry_after.isascii():
        return min(int(retry_after[:9]), _LONGEST_PAUSE)
    try:
        when = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):
        return 0
    return min(max(0, round(when - time.time())), _LONGEST_PAUSE)
