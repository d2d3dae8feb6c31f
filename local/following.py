"""Follows a job to its end and prints its outcome."""

import sys
from collections.abc import Iterator

from local.client import Body, Client, CommandError
from local.deadline import Deadline, OutOfTime
from local.deciding import TerminalDecider
from local.job_text import failure_of
from local.live import follow_live
from local.output import FAILED, OK, is_terminal, visible, write, write_json
from local.paths import job_path
from local.progress_display import ProgressDisplay
from local.steering import Steering
from shared.api.vocabulary import TERMINAL

_FIRST_PAUSE, _LAST_PAUSE, _PAUSE_GROWTH = (
    0.1,
    1.0,
    1.5,
)  # s; short at first for fast answers, then longer to save requests
_RETRY_FOR = 30.0  # s to retry while the gateway restarts or has no connection to Redis
_REQUEST_TIMEOUT = 10.0  # s; none of these requests waits for the job


def follow(
    client: Client, job_id: str, display: ProgressDisplay, deadline: Deadline, *, as_json: bool, live: bool
) -> Body:
    """Return a job's terminal status; with `live`, print its answer and its steps, and send it typed lines.

    Raises OutOfTime at the deadline, after printing the last status if `as_json` is set.
    """
    display.watch(job_id)
    if live:
        with Steering(client, job_id) as steering:
            return follow_live(client, job_id, display, deadline, steering.quiet)
    decider = TerminalDecider(client, job_id)
    status: Body = {}
    try:
        for status in statuses(client, job_id, deadline):
            display.note(status)
            if decider.is_new(status.get("pending")):
                display.hide()
                decider.decide(status["pending"])
                display.show()
    except OutOfTime:
        display.hide()
        if as_json and status:
            write_json(status)
        raise
    return status


def statuses(client: Client, job_id: str, deadline: Deadline) -> Iterator[Body]:
    """Poll the job and yield each status, the terminal one last.

    The `Retry-After: 1` of the 202 response is for clients that poll at a fixed interval and is ignored, because it
    would add a second to every short answer. The `Retry-After` of a status or a 503 is respected.
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
    """Return the timeout of one request in seconds."""
    return max(0.1, min(_REQUEST_TIMEOUT, deadline.left()))


def report(status: Body, *, as_json: bool, shown: bool = False) -> int:
    """Print the outcome of a job, unless its answer has been `shown`, and return the exit status.

    With `as_json` the status body is the whole output. Otherwise raises CommandError for a job that did not complete.
    """
    result, state = status.get("result"), status.get("state")
    if as_json:
        write_json(status)
        return OK if state == "completed" else FAILED
    if state != "completed":
        raise CommandError(failure_of(status), FAILED)
    if not isinstance(result, dict) or not isinstance(result.get("response"), str):
        raise CommandError("the job is completed, but has no answer")
    if not shown:
        answer: str = result["response"]
        write(visible(answer.replace("\r\n", "\n")) if is_terminal(sys.stdout) else answer)
    return OK
