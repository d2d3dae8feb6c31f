"""Follows a job through its event stream, printing the answer and the steps as they come; resumes a broken stream."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from local.client import Body, Client, CommandError
from local.deadline import Deadline
from local.deciding import TerminalDecider
from local.output import is_terminal, print_message, visible
from local.paths import job_path
from local.progress_display import ProgressDisplay
from local.step_text import step_line

# s to retry while the gateway restarts or has no connection to Redis, and between two requests.
_RETRY_FOR, _PAUSE = 30.0, 1.0
_SILENCE = 30.0  # s without a byte; the gateway sends a comment every ten


def follow_live(  # noqa: C901 -- a case for each event
    client: Client,
    job_id: str,
    display: ProgressDisplay,
    deadline: Deadline,
    quiet: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Body:
    """Print a job's answer as it is generated, and return the terminal status. Raises CommandError.

    Nothing else reads the terminal in the block of `quiet`, in which the user decides on a call.
    """
    shown, paused, decider = "", False, TerminalDecider(client, job_id)
    is_step_last = False
    for kind, data in _events(client, job_id, deadline):
        match kind, data:
            case "delta", {"text": str(text)}:
                display.hide()
                shown += text
                is_step_last = False
                _write(visible(text))
            case "state", {"state": "paused" | "waiting"} if paused or data.get("state") == "paused":
                # The text goes on after the decision.
                paused = data.get("state") == "paused"
                display.note(data)
            case "state", {"state": "delayed" | "waiting"} if shown:
                # The attempt failed; text follows when the next attempt starts.
                shown = _end_failed_attempt(shown)
                display.show()
            case "reset", _ if shown:
                shown = _end_failed_attempt(shown)
                display.show()
            case "action_required", {"id": str()} if _waits(client, job_id, data):
                display.hide()
                shown = _end_line(shown)
                with quiet():
                    decider.decide(data)
                display.show()
            case "state", _:
                display.note(data)
            case "step", _ if line := step_line(data):
                display.hide()
                if not is_step_last and shown and not shown.endswith("\n") and is_terminal(sys.stdout):
                    _write("\n")
                is_step_last = True
                print_message(line)
                if not shown:
                    display.show()
            case "done", _:
                display.hide()
                return _end_answer(data, shown, starts_line=is_step_last)
            case _:
                pass
    raise CommandError("the event stream ended before the job")


def _waits(client: Client, job_id: str, call: Body) -> bool:
    """Return whether a job still waits for the decision on a call: a stream begins with what has passed."""
    status, _ = client.send("GET", job_path(job_id))
    match status.get("pending"):
        case {"id": str(waits)}:
            return waits == str(call["id"])
        case _:
            return False


def _end_line(shown: str) -> str:
    if shown and not shown.endswith("\n"):
        _write("\n")
        return f"{shown}\n"
    return shown


def _end_failed_attempt(shown: str) -> str:
    """End the text of a failed attempt, and return the (empty) text shown of the next one."""
    _write("" if shown.endswith("\n") else "\n")
    print_message("the attempt failed; retrying")
    return ""


def _end_answer(status: Body, shown: str, *, starts_line: bool = False) -> Body:
    """Complete the shown text with the final answer, which is only the last message of a run of several turns."""
    match status:
        case {"result": {"response": str(response)}} if shown and not shown.endswith(response):
            _write("\n" if not shown.endswith("\n") and not (starts_line and is_terminal(sys.stdout)) else "")
            _write(visible(response))
            shown = response
        case {"result": {"response": str(response)}} if not shown:
            _write(visible(response))
            shown = response
        case _:
            pass
    if shown and not shown.endswith("\n"):
        _write("\n")
    return status


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _events(client: Client, job_id: str, deadline: Deadline) -> Iterator[tuple[str, Body]]:
    """Yield each event of a job once until its end, reconnecting as needed."""
    last: str | None = None
    retry_until: float | None = None
    while True:
        try:
            silence = min(_SILENCE, deadline.left())
            for event_id, kind, data in client.events(f"{job_path(job_id)}/events", last, silence):
                deadline.left()
                if event_id is not None:
                    last, retry_until = event_id, None
                    yield kind, data
                    if kind == "done":
                        return
        except CommandError as error:
            deadline.left()
            retry_until = deadline.now() + _RETRY_FOR if retry_until is None else retry_until
            if not error.transient or deadline.now() >= retry_until:
                raise
            deadline.sleep(max(_PAUSE, error.retry_after))
