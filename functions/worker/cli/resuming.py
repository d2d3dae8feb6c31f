"""Pauses of a job between two runs: what the first keeps for the second, and the plan of the second."""

from dataclasses import asdict, replace
from typing import Any

from functions.worker.cli.gate import Gate
from functions.worker.cli.mcp_servers import Expected
from functions.worker.cli.plan import RunPlan, SessionPlan
from functions.worker.cli.publisher import Publisher
from functions.worker.cli.report import Earlier, Report
from functions.worker.cli.steering import Steering
from functions.worker.cli.steps import Steps
from functions.worker.cli.stream import Reading
from functions.worker.relay.run import Watcher
from shared.api.steps import Step
from shared.store.callers.spending import Spend
from shared.store.jobs.pauses import Resumption

# Characters of the answer so far that a pause keeps, in case that the model writes nothing more.
_MOST_TEXT = 65_536


def reading_for(
    plan: RunPlan, publisher: Publisher, expected: Expected, gate: Gate | None, watcher: Watcher
) -> Reading:
    """Return what reads the messages of a run, with the step of the call that it goes on with after a pause."""
    steps = Steps(publisher, watcher) if gate is None else Steps(publisher, watcher, gate.denied)
    if plan.resumption is not None and (step := plan.resumption.kept["step"]):
        steps.go_on(Step.model_validate_json(step), plan.resumption.decision.get("updatedInput"))
    return Reading(
        expected,
        publisher,
        steps,
        Steering(publisher),
        plan.options.cuts_answer,
        frozenset() if plan.client_tools is None else plan.client_tools.names,
    )


def note_question(report: Report, gate: Gate | None) -> None:
    """Record the call that a CLI ended for; a decided call that it has passed over fails the run."""
    if gate is None or report.envelope is None:
        return
    deferred = report.envelope.deferred_tool_use
    if not gate.is_settled:
        report.failure = "server_error"
    elif gate.question is not None and deferred is not None and deferred.id == gate.call_id:
        report.question, report.call_id = gate.question, gate.call_id


def plan_of_job(plan: RunPlan, job_id: str, resumption: Resumption | None) -> RunPlan:
    """Return the plan of a job's run, which goes on after a pause if there is a resumption.

    What can be paused needs a session, which ends with the job unless the request keeps it.
    """
    plan = replace(plan, job_id=job_id, resumption=resumption)
    if plan.approval is not None and plan.session is None:
        plan = replace(plan, session=SessionPlan(job_id, None, is_kept=False))
    if resumption is None:
        return plan
    options, used = plan.options, earlier_of(resumption).requests
    if options.max_turns is not None:
        options = replace(options, max_turns=max(0, options.max_turns - used))
    # The transcript has them.
    return replace(plan, options=options, history=())


def earlier_of(resumption: Resumption | None) -> Earlier:
    """Return what the runs before the pause have seen."""
    if resumption is None:
        return Earlier()
    kept = resumption.kept
    spends = tuple(Spend(**one) for one in kept["spends"])
    return Earlier(kept["text"], kept["turns"], kept["requests"], kept["duration"], spends, kept["messages"])


def kept_of(report: Report, commit: str) -> dict[str, Any]:
    """Return what a run that is paused keeps for the run that goes on, as JSON; `commit` is where it began."""
    envelope, earlier = report.envelope, report.earlier
    requests = 0 if report.relayed is None else report.relayed.limits.turns
    return {
        "callId": report.call_id,
        "step": report.step,
        "commit": commit,
        "workspace": False,
        "text": report.answer[:_MOST_TEXT].encode("utf-8", "replace").decode(),
        "turns": earlier.turns + (0 if envelope is None else envelope.num_turns),
        "requests": earlier.requests + requests,
        "messages": earlier.messages + report.messages,
        "duration": earlier.duration + (0 if envelope is None else envelope.duration_ms),
        "spends": [asdict(one) for one in (*earlier.spends, *report.spends)],
    }
