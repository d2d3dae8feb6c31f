"""Following a job on a terminal: its answer as it is written, whatever cuts the stream."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from local.client import Body, Client, Stop, complain, visible

# s for which a stream is asked for again while a gateway restarts or has lost its Redis, and between two of these.
_PATIENCE, _PAUSE = 30.0, 1.0

Told = tuple[str, dict[str, Any]]


def follow_live(
    client: Client, job_id: str, *, sleep: Callable[[float], None], clock: Callable[[], float], deadline: float
) -> Body:
    """Print a job's answer as it comes and return its terminal status; raises Stop when it cannot be followed."""
    shown = ""
    for kind, data in _events(client, job_id, sleep, clock, deadline):
        match kind, data:
            case "delta", {"text": str(text)}:
                shown += text
                _write(visible(text))
            case "reset", _:
                if shown:
                    _write("\n")
                    complain("the attempt failed and is made again")
                shown = ""
            case "done", _:
                return _ended(data, shown)
            case _:
                pass
    raise Stop("the stream ended before the job")


def _ended(status: Body, shown: str) -> Body:
    """Let what was shown end as the answer does: of an answer in several turns only the last is the answer."""
    match status:
        case {"result": {"response": str(response)}} if shown and not shown.endswith(response):
            _write("\n" if not shown.endswith("\n") else "")
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


def _events(
    client: Client, job_id: str, sleep: Callable[[float], None], clock: Callable[[], float], deadline: float
) -> Iterator[Told]:
    """Yield what is told of a job until its end, each event once, over as many answers as it takes."""
    last: str | None = None
    patience: float | None = None
    while True:
        try:
            for event_id, kind, data in client.events(f"/api/query/{job_id}/events", last):
                _check_time(clock, deadline)
                if event_id is not None:
                    last, patience = event_id, None
                    yield kind, data
                    if kind == "done":
                        return
        except Stop as stop:
            patience = clock() + _PATIENCE if patience is None else patience
            if not stop.passing or clock() >= patience:
                raise
            sleep(max(_PAUSE, stop.retry_after))


def _check_time(clock: Callable[[], float], deadline: float) -> None:
    if clock() > deadline:
        raise Stop("gave up after --timeout, while the job goes on")
