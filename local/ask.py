"""`claude-gateway ask`: submit one query to a running gateway, follow its job, print the answer.

Standard output gets the answer (or, with `--json`, the body that brought it) and nothing else; standard error
gets the progress, only when both are a terminal, and what went wrong. A model's answer is hostile text: on a
terminal its control characters are written out as `\\u001b`, since they could move the cursor, rename the
window or answer for the user. Into a pipe or a file it goes as it came, in UTF-8. Either way one newline is
added unless it ends in one.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from local.client import FAILED, INTERRUPTED, OK, Body, Client, Stop, complain, visible
from local.live import follow_live
from shared.vocabulary import TERMINAL

_FIRST_PAUSE, _LAST_PAUSE, _PAUSE_GROWTH = 0.1, 1.0, 1.5  # s: a short answer is seen at once, a long one is cheap
_PATIENCE = 30.0  # s for which polling outlives a gateway that restarts or has lost its Redis
_REQUEST_TIMEOUT = 10.0  # s; no request of ours asks the gateway to wait for the job


class _Gateway:
    """One conversation with a gateway about one job; times are seconds."""

    def __init__(
        self, client: Client, timeout: float, sleep: Callable[[float], None], clock: Callable[[], float]
    ) -> None:
        self.job_id: str | None = None
        self._client = client
        self._sleep, self._clock = sleep, clock
        self._timeout, self._deadline = timeout, clock() + timeout

    def submit(self, query: str) -> Body:
        """Submit once, for a second try could be a second job; the answer holds `jobId`, `result` when cached."""
        body, _ = self._send("POST", "/api/query", {"query": query})
        if not isinstance(body.get("jobId"), str):
            raise Stop(self._client.stranger("a body without jobId"))
        self.job_id = body["jobId"]
        return body

    def statuses(self, job_id: str) -> Iterator[Body]:
        """Yield the job's status again and again, the terminal one last.

        The 202's own `Retry-After: 1` is for clients that poll at one pace, and would cost every short answer a
        second; one that comes with a status or a 503 is honoured.
        """
        step = pause = _FIRST_PAUSE
        patience_ends: float | None = None
        while True:
            self._pause(pause)
            try:
                status, retry_after = self._send("GET", f"/api/query/{quote(job_id, safe='')}")
            except Stop as stop:
                now = self._clock()
                patience_ends = now + _PATIENCE if patience_ends is None else patience_ends
                if not stop.passing or now >= patience_ends:
                    raise
                pause = min(max(stop.retry_after, step), patience_ends - now)
            else:
                if not isinstance(status.get("state"), str):
                    raise Stop(self._client.stranger("a body without state"))
                yield status
                if status["state"] in TERMINAL:
                    return
                patience_ends = None
                pause = max(retry_after, step)
            step = min(step * _PAUSE_GROWTH, _LAST_PAUSE)

    def _send(self, method: str, path: str, body: Body | None = None) -> tuple[Body, float]:
        timeout = max(0.1, min(_REQUEST_TIMEOUT, self._deadline - self._clock()))
        return self._client.send(method, path, body, timeout=timeout)

    def _pause(self, seconds: float) -> None:
        left = self._deadline - self._clock()
        if left <= 0:
            raise Stop(f"gave up after {self._timeout:g} s, while the job goes on")
        self._sleep(min(seconds, left))


def ask(  # noqa: PLR0913 -- three of them are for tests
    query: str,
    *,
    url: str,
    api_key: str | None,
    as_json: bool,
    timeout: float | None,
    stream: bool = False,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Submit a query, follow its job to the end, print the answer, and return the exit status.

    0: completed. 1: the job failed or was cancelled. 2: it could not be asked or followed (usage, connection,
    an error of the API, `timeout` seconds over). 130: Ctrl-C. The job goes on after a 130 or the timeout.
    With `stream` the answer is printed as it is written; an attempt that fails cannot be taken back from a pipe.
    A query of `-` is standard input, to the byte. An answer from the cache is printed as the submission's own
    body under `as_json`, since it has no job of its own. `transport`, `sleep` and `clock` are for tests.
    """
    gateway: _Gateway | None = None
    try:
        text, seconds = _query(query), _seconds(timeout)
        with Client(url, api_key, transport) as client:
            gateway = _Gateway(client, seconds, sleep, clock)
            body = gateway.submit(text)
            if body.get("result") is None and stream and not as_json:
                deadline = clock() + seconds
                body = follow_live(client, body["jobId"], sleep=sleep, clock=clock, deadline=deadline)
                return _report(body, as_json=False, shown=True)
            if body.get("result") is None:
                body = _follow(gateway, body["jobId"])
        return _report(body, as_json=as_json)
    except Stop as stop:
        job = f"\nThe job's id is {gateway.job_id}." if gateway and gateway.job_id else ""
        complain(f"{stop}{job}")
        return stop.status
    except KeyboardInterrupt:
        job = f"job {gateway.job_id} goes on" if gateway and gateway.job_id else "no job was made that we know of"
        complain(f"interrupted: {job}")
        return INTERRUPTED


def _query(query: str) -> str:
    """Return the query's text; standard input for `-`."""
    try:
        text = sys.stdin.buffer.read().decode() if query == "-" else query
        text.encode()  # an argument that was not UTF-8 came in as lone surrogates
    except UnicodeError:
        raise Stop("the query is not UTF-8") from None
    return text


def _seconds(timeout: float | None) -> float:
    if timeout is not None and not timeout > 0:
        raise Stop(f"--timeout should be more than 0 seconds (it is {timeout:g})")
    return math.inf if timeout is None else timeout


def _follow(gateway: _Gateway, job_id: str) -> Body:
    """Return the job's terminal status, showing the way to it when people look at both outputs."""
    status: Body = {}
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not (sys.stdout.isatty() and sys.stderr.isatty()),
    ) as display:
        task = display.add_task("submitted", total=100)
        for status in gateway.statuses(job_id):
            before = status.get("queuePosition")
            place = f", {before} before it" if isinstance(before, int) else ""
            progress = status.get("progress")
            done = progress if isinstance(progress, int) else None
            display.update(task, description=visible(status["state"]) + place, completed=done)
    return status


def _report(body: Body, *, as_json: bool, shown: bool = False) -> int:
    """Print what came of the job, unless it was `shown`, and return the exit status."""
    result, error, state = body.get("result"), body.get("error"), body.get("state", "completed")
    if as_json:
        # As JSON itself escapes them, so that a pipe and a terminal get the same document.
        _print(visible(json.dumps(body, ensure_ascii=False, indent=2)))
    if state != "completed":
        reason = f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else f"the job was {state}"
        raise Stop(reason, FAILED)
    if not isinstance(result, dict) or not isinstance(result.get("response"), str):
        raise Stop("the job is completed, but without an answer")
    if not as_json and not shown:
        answer: str = result["response"]
        _print(visible(answer.replace("\r\n", "\n")) if sys.stdout.isatty() else answer)
    return OK


def _print(text: str) -> None:
    """Write to standard output as bytes: no newline is translated, and no locale changes what a pipe gets."""
    encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
    line = text if text.endswith("\n") else text + "\n"
    sys.stdout.flush()
    sys.stdout.buffer.write(line.encode(encoding, "replace"))
    sys.stdout.buffer.flush()
