"""`claude-gateway ask`: submit one query to a running gateway, follow its job, and print the answer.

Standard output contains only the answer or, with `--json`, the status body. Progress (on a terminal) and errors go to
standard error. A model's answer is untrusted text: on a terminal its control characters are escaped as `\\u001b`, since
they could move the cursor, rename the window or inject input. A pipe or a file receives the answer unchanged, in UTF-8.
A newline is added if the answer does not end with one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.client import Body, Client, CommandError
from local.deadline import Deadline
from local.file_transfer import uploaded
from local.following import follow, report, request_timeout
from local.interrupts import deferred_interrupts
from local.job_command import JobCommand
from local.job_outputs import apply_patch
from local.output import print_message
from local.paths import job_path
from local.progress_display import ProgressDisplay
from local.standard_input import query_text
from shared.api.times import rfc3339


@dataclass(frozen=True, slots=True)
class Question:
    """A query, the other fields of its submission, and whether to append standard input (None: if it is a pipe).

    `files`, each with its path in the working directory of the run, and `attachments` are sent before the submission.
    The patch of a success is applied to the directory `apply_to`.
    """

    query: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    append: bool | None = None
    files: tuple[tuple[str, Path], ...] = ()
    attachments: tuple[Path, ...] = ()
    apply_to: Path | None = None


def ask(
    question: Question,
    gateway: JobCommand,
    *,
    as_json: bool = False,
    timeout: float | None = None,
    stream: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Submit a query, follow its job to the end, print the answer, and return the exit status.

    0: completed. 1: the job failed or was cancelled. 2: the query could not be submitted, followed or printed (usage,
    connection, an error of the API, `timeout` exceeded). 130: Ctrl-C. 143: SIGTERM. After all but 0 and 1 the job
    continues, unless a second Ctrl-C cancels it. With `stream` the answer is printed as it is generated; the text of a
    failed attempt cannot be removed from a pipe. `sleep` and `clock` are for tests.
    """

    def work() -> int:
        body = {**question.fields, "query": query_text(question.query, append=question.append)}
        deadline = Deadline(timeout, sleep, clock)
        with gateway.connect() as client, ProgressDisplay(gateway.connect) as display:
            with uploaded(client, question.files, question.attachments) as sent:
                accepted = _submit(client, body | sent, gateway, request_timeout(deadline))
            is_cached = accepted.get("result") is not None
            if is_cached:
                status = _status_of_cached(client, accepted) if as_json else {**accepted, "state": "completed"}
            else:
                status = follow(
                    client, accepted["jobId"], display, deadline, as_json=as_json, live=stream and not as_json
                )
        if accepted.get("status") in {"cached", "duplicate"}:
            # The status body has those of the job's first submission.
            status |= {"requestId": accepted.get("requestId"), "metadata": {}}
        exit_status = report(status, as_json=as_json, shown=stream and not is_cached)
        _print_session(body, status, as_json=as_json)
        if question.apply_to is not None and status.get("state") == "completed":
            with gateway.connect() as client:
                apply_patch(client, accepted["jobId"], question.apply_to)
        return exit_status

    return gateway.run(work, second_cancels=True)


def _submit(client: Client, body: Body, gateway: JobCommand, timeout: float) -> Body:
    """Submit without retrying, since a retry could create a second job. The response has `result` if it is cached."""
    with deferred_interrupts():
        accepted, _ = client.send("POST", "/api/query", body, timeout=timeout)
        if not isinstance(accepted.get("jobId"), str):
            raise CommandError(client.not_a_gateway("a body without jobId"))
        gateway.job_id = accepted["jobId"]
    return accepted


def _status_of_cached(client: Client, cached: Body) -> Body:
    """Return the status body of the job that produced a cached answer, or a substitute if that job has expired."""
    result = cached["result"]
    try:
        status, _ = client.send("GET", job_path(cached["jobId"]))
        if status.get("state") == "completed":
            return {**status, "result": result}
    except CommandError as error:
        if error.code != "not_found":
            raise
    now = rfc3339(int(time.time() * 1000))
    return {
        "jobId": cached["jobId"],
        "requestId": cached.get("requestId"),
        "state": "completed",
        "progress": 100,
        "error": None,
        "priority": "normal",
        "attempts": 1,
        "attemptsDetail": [],
        "mcpServers": [],
        "metadata": {},
        "batchId": None,
        "createdAt": now,
        "startedAt": None,
        "finishedAt": now,
        "queuePosition": None,
        "waitingFor": None,
        "pending": None,
        "startsAt": None,
        "scheduleId": None,
        "steps": 0,
        "result": result,
    }


def _print_session(body: Body, status: Body, *, as_json: bool) -> None:
    """Print how to continue the session that this query started."""
    match status:
        case {"result": {"sessionId": str(session)}} if body.get("session") and not as_json:
            print_message(f"Continue with --session {session}")
        case _:
            pass
