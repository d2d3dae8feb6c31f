"""Why a job waits, in words, for operators."""

import json
from collections.abc import Iterator
from typing import Any

from shared.api.times import rfc3339

_DAY = 86_400_000


def reasons(found: dict[str, Any]) -> list[dict[str, str | None]]:
    """Return why a job waits, the most general reason first: a code, a sentence and the job that it waits for."""
    if found.get("state") not in {"waiting", "delayed"}:
        return []
    shown = [*_of_queue(found), *(_of_delay(found) if found["state"] == "delayed" else _of_place(found))]
    return [{"code": code, "message": message, "jobId": other} for code, message, other in shown]


Reason = tuple[str, str, str | None]


def _of_queue(found: dict[str, Any]) -> Iterator[Reason]:
    if (paused := found.get("paused")) is not None:
        known = json.loads(paused)
        who = f" by {known['by']} since {rfc3339(int(known['since']))}" if isinstance(known, dict) else ""
        yield "queue_paused", f"The queue is paused{who}. The overview resumes it", None
    if code := found.get("refused"):
        since = rfc3339(int(found["refused_since"] or found["now"]))
        yield str(code), f"Claude refuses every request since {since} ({code}). One job every 30 s tries again", None
    if code := found.get("limited"):
        yield str(code), f"Claude accepts no requests until {rfc3339(int(found['limited_until']))} ({code})", None
    if not found["slots"]:
        yield "no_worker", "No worker is running", None


def _of_delay(found: dict[str, Any]) -> Iterator[Reason]:
    due = int(found["due"])
    if due == found.get("run_at"):
        yield "run_at", f"Its client wants it to start at {rfc3339(due)}", None
    elif not found["attempts"] and due % _DAY == 0:
        yield "budget", f"The daily budget of its caller is spent. It continues at {rfc3339(due)}", None
    else:
        code = found.get("last_code") or "an error"
        yield "retry", f"Its last attempt ended with {code}. The next begins at {rfc3339(due)}", None


def _of_place(found: dict[str, Any]) -> Iterator[Reason]:
    active, weight = int(found["caller_active"]), found["weight"]
    share = f"Its caller has {found['caller_waiting']} waiting and {active} running jobs, and the weight {weight:g}"
    if found["parked"]:
        ahead = int(found.get("turns_ahead") or 0)
        yield "session", f"{ahead} earlier jobs of its session end first", found.get("turn")
    elif found["held"]:
        yield "caller_active", f"Its caller already runs {active} jobs, which is its limit. {share}", None
    elif found.get("ahead") is None:
        yield "starting", "A slot is about to start it", None
    else:
        yield "place", f"{int(found['ahead'])} of {int(found['waiting'])} waiting jobs are ahead of it. {share}", None
        if found["slots"] and found["busy"] >= found["slots"]:
            yield "slots", f"All {int(found['slots'])} slots are busy", None
