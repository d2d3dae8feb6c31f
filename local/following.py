"""Following a job to its end, and printing what came of it."""

import sys
from collections.abc import Iterator

from local.client import Body, Client, CommandError
from local.deadline import Deadline, OutOfTime
from local.job_text import failure_of
from local.live import follow_live
from local.output import FAILED, OK, is_terminal, visible, write, write_json
from local.paths import job_path
from local.progress_display import ProgressDisplay
from shared.api.vocabulary import TERMINAL

_FIRST_PAUSE, _LAST_PAUSE, _PAUSE_GROWTH = 0.1, 1.0, 1.5  # s: a short answer is seen at once, a long one is cheap
_RETRY_FOR = 30.0  # s for which polling outlives a gateway that restarts or has lost its Redis
_REQUEST_TIMEOUT = 10.0  # s; no request of ours asks the gateway to wait for the job


def follow(
    client: Client, job_id: str, display: ProgressDisplay, deadline: Deadline, *, as_json: bool, live: bool
) -> Body:
    """Return a job's terminal status; with `live` its answer is printed as it is written.

    When the time is up, the last status is printed with `as_json`, and OutOfTime raised.
    """
    display.watch(job_id)
    if live:
        return follow_live(client, job_id, display, deadline)
    status: Body = {}
    try:
        for status in statuses(client, job_id, deadline):
            display.note(status)
    except OutOfTime:
        display.hide()
        if as_json and status:
            write_json(status)
        raise
    return status


def statuses(client: Client, job_id: str, deadline: Deadline) -> Iterator[Body]:
    """Yield the job's status again and again, the terminal one last.

    The 202's own `Retry-After: 1` is for clients that poll at one pace, and would cost every short answer a second;
    one that comes with a status or a 503 is honoured.
    """
    step = pause = _FIRST_PAUSE
    retry_until: float | None = None
    while True:
        deadline.sleep(pause)
        try:
            status, retry_after = client.send("GET", job_path(job_id), timeout=request_timeout(deadline))
        except CommandError as error:
            now = deadline.now()
            retry_until = now + _RETRY_FOR if retry_until is None else retry_until
            if not error.transient or now >= retry_until:
                raise
            pause = min(max(error.retry_after, step), retry_until - now)
        else:
            if not isinstance(status.get("state"), str):
                raise CommandError(client.not_a_gateway("a body without state"))
            yield status
            if status["state"] in TERMINAL:
                return
            retry_until = None
            pause = max(retry_after, step)
        step = min(step * _PAUSE_GROWTH, _LAST_PAUSE)


def request_timeout(deadline: Deadline) -> float:
    """Return how long one request may take, in seconds."""
    return max(0.1, min(_REQUEST_TIMEOUT, deadline.left()))


def report(status: Body, *, as_json: bool, shown: bool = False) -> int:
    """Print what came of a job, unless its answer was `shown`, and return the exit status.

    As JSON the status body is all: it says why a job failed, and nothing repeats that. Raises CommandError otherwise.
    """
    result, state = status.get("result"), status.get("state")
    if as_json:
        write_json(status)
        return OK if state == "completed" else FAILED
    if state != "completed":
        raise CommandError(failure_of(status), FAILED)
    if not isinstance(result, dict) or not isinstance(result.get("response"), str):
        raise CommandError("the job is completed, but without an answer")
    if not shown:
        answer: str = result["response"]
        write(visible(answer.replace("\r\n", "\n")) if is_terminal(sys.stdout) else answer)
    return OK
