"""Measure a pause: from the model's call to the paused job, and from the decision to the start of the allowed tool."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure
from tests.support.gateway import Gateway
from tests.support.scripted_model import ScriptedModel
from tests.support.scripted_replies import Text, ToolUse
from tests.support.waiting import until

RUNS = 7
# The time that a slot needs to prepare its next CLI.
PAUSE = 1.0


def _reply(body: dict[str, Any]) -> Any:
    called = "tool_result" in str(body["messages"][-1])
    return Text("done") if called else ToolUse("Bash", {"command": "date +%s.%N"})


def _started(model: ScriptedModel) -> float:
    """Return when the tool of the last job has started, by its own clock."""
    [block] = [one for one in model.requests[-1].body["messages"][-1]["content"] if one["type"] == "tool_result"]
    return float(block["content"])


def _run(gateway: Gateway, model: ScriptedModel, number: int) -> tuple[float, float]:
    """Return the ms from the decision to the start of the tool, and from submission to the paused job."""
    submitted = time.time()
    job_id = gateway.submit(f"decide {number}", tools=["Bash"], approval={"tools": ["Bash"]})
    job = until(lambda: (now := gateway.job(job_id))["state"] == "paused" and now)
    paused = time.time()
    decided = time.time()
    place = f"/api/query/{job_id}/decisions/{job['pending']['id']}"
    assert gateway.client.post(place, json={"decision": "allow"}).status_code == 200
    assert gateway.finished(job_id)["state"] == "completed"
    return (_started(model) - decided) * 1000, (paused - submitted) * 1000


def measure() -> list[Figure]:
    """Pause and resume jobs, a second apart; the first is not counted."""
    with tempfile.TemporaryDirectory() as name, ScriptedModel(_reply) as model:
        variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1"}
        with Gateway(Path(name), **variables, CLAUDE_TOOLS="Bash") as gateway:
            took = []
            for number in range(RUNS + 1):
                took.append(_run(gateway, model, number))
                time.sleep(PAUSE)
    starts, pauses = zip(*took[1:], strict=True)
    start, worst, pause = statistics.median(starts), max(starts), statistics.median(pauses)
    detail = f"cold, in the sandbox; worst of {RUNS} {worst:.0f} ms"
    return [
        Figure("from a decision to the start of the allowed tool", "", start, "≤", 1000, unit="ms", detail=detail),
        Figure("from submission to the paused job", "", pause, unit="ms", detail="one request to the model, cold"),
    ]
