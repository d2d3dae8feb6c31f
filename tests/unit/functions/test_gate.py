"""The gate of a run: what waits for a decision, and what becomes of the decided call whatever the transcript says."""

from typing import Any

import pytest

from functions.worker.cli.gate import MOST_INPUT, Gate
from functions.worker.cli.plan import ApprovalPlan, RunOptions, RunPlan, SessionPlan
from functions.worker.cli.resuming import plan_of_job
from shared.api.approvals import matches, may_match
from shared.store.jobs.pauses import Resumption

KEPT = {
    "callId": "t1",
    "step": "",
    "text": "",
    "turns": 1,
    "requests": 2,
    "duration": 1,
    "spends": [],
    "messages": 0,
    "workspace": False,
}


class Context:
    """The context of a question of the CLI."""

    def __init__(self, call_id):
        self.tool_use_id = call_id


def gate_for(*tools, begins=True, asks=False, **resumption):
    found = (
        Resumption(**{"ask": "d", "tool": "Bash", "input": {"command": "ls"}, "kept": KEPT, **resumption})
        if resumption
        else None
    )
    calls = []

    async def begin():
        calls.append(1)
        return begins

    plan = RunPlan(approval=ApprovalPlan(tools, asks=asks), resumption=found)
    gate: Any = Gate(plan, begin)
    gate.begun = calls
    return gate


async def before(gate, tool, given, call_id="t9", **more):
    call = {"tool_name": tool, "tool_input": given, **more}
    [hook] = gate.hooks()["PreToolUse"][0].hooks
    found = await hook(call, call_id, None)
    return found.get("hookSpecificOutput", {}).get("permissionDecision")


async def test_the_first_call_that_needs_a_decision_is_deferred():
    gate = gate_for("Bash", "mcp__*")
    assert await before(gate, "Read", {}) is None
    assert await before(gate, "Bash", {"command": "ls"}) == "defer"
    assert await before(gate, "mcp__a__b", {}, "t10") == "deny"
    assert await before(gate, "Read", {}, "t11") is None
    assert (gate.question.tool, gate.question.input, gate.call_id) == ("Bash", {"command": "ls"}, "t9")


async def test_a_call_of_a_subagent_is_denied():
    gate = gate_for("*")
    assert await before(gate, "Bash", {}, agent_id="a1") == "deny"
    assert gate.question is None


@pytest.mark.parametrize(
    "given",
    [None, "ls", ["ls"], 5, {"command": "x" * MOST_INPUT}, {"command": "\ud800"}, {"\ud800": 1}],
)
async def test_a_call_that_cannot_be_shown_is_denied(given):
    gate = gate_for("Bash")
    assert await before(gate, "Bash", given) == "deny"
    assert gate.question is None


@pytest.mark.parametrize("tool", [None, 5, ["Bash"], {"a": 1}])
async def test_a_forged_call_is_denied(tool):
    gate = gate_for("Bash")
    assert await before(gate, tool, {}) == "deny"


async def test_a_call_without_an_id_is_denied():
    assert await before(gate_for("Bash"), "Bash", {}, None) == "deny"


ALLOW, DENY = {"decision": "allow"}, {"decision": "deny", "message": "no"}


async def test_the_decided_call_is_made_once():
    """Catches a second call with the same id, which a tool can write into the CLI's output."""
    gate = gate_for("Bash", decision=ALLOW)
    assert await before(gate, "Bash", {"command": "ls"}, "t1") == "ask"
    answer = await gate.answer("Bash", {"command": "ls"}, Context("t1"))
    assert (answer.behavior, answer.updated_input) == ("allow", {"command": "ls"})
    again = await gate.answer("Bash", {"command": "ls"}, Context("t1"))
    assert again.behavior == "deny"
    assert gate.begun == [1]


@pytest.mark.parametrize(
    ("tool", "given"), [("Bash", {"command": "rm"}), ("Write", {"command": "ls"}), ("Bash", {"command": "ls", "x": 1})]
)
async def test_a_call_that_differs_from_the_one_shown_is_denied(tool, given):
    """Catches a transcript that a run has changed between the pause and the decision."""
    gate = gate_for("Bash", decision=ALLOW)
    answer = await gate.answer(tool, given, Context("t1"))
    assert (answer.behavior, gate.begun, gate.is_settled) == ("deny", [], True)


async def test_another_call_than_the_decided_one_is_never_permitted():
    gate = gate_for("Bash", decision=ALLOW)
    assert (await gate.answer("Bash", {"command": "ls"}, Context("t2"))).behavior == "deny"
    assert not gate.is_settled


async def test_a_denial_has_its_message():
    answer = await gate_for("Bash", decision=DENY).answer("Bash", {"command": "ls"}, Context("t1"))
    assert (answer.behavior, answer.message) == ("deny", "no")


@pytest.mark.parametrize("more", [{"begun": True}, {"begins": False}])
async def test_a_call_that_another_run_has_begun_is_not_made(more):
    begins = more.pop("begins", True)
    gate = gate_for("Bash", begins=begins, decision=ALLOW, **more)
    answer = await gate.answer("Bash", {"command": "ls"}, Context("t1"))
    assert answer.behavior == "deny"
    assert "may or may not" in answer.message


async def test_an_mcp_server_gets_a_call_once_and_as_it_was_allowed():
    call = {"tool": "mcp__shop__buy_it", "input": {"n": 1}}
    gate = gate_for("mcp__*", decision={**ALLOW, "updatedInput": {"n": 2}}, **call)
    assert not gate.permits("shop", "buy.it", {"n": 2}), "before the decision is carried out"
    answer = await gate.answer("mcp__shop__buy_it", {"n": 1}, Context("t1"))
    assert answer.updated_input == {"n": 2}
    assert gate.permits("shop", "buy.it", {"n": 2})
    assert not gate.permits("shop", "buy.it", {"n": 2}), "twice"


async def test_a_forged_mcp_call_uses_the_permission_up():
    call = {"tool": "mcp__shop__buy", "input": {"n": 1}}
    gate = gate_for("mcp__shop__*", decision=ALLOW, **call)
    await gate.answer("mcp__shop__buy", {"n": 1}, Context("t1"))
    assert not gate.permits("shop", "buy", {"n": 9})
    assert not gate.permits("shop", "buy", {"n": 1})
    assert gate.permits("other", "look", {}), "needs no decision"


@pytest.mark.parametrize(
    ("pattern", "tool", "found"),
    [
        ("Bash", "Bash", True), ("Bash", "BashOutput", False), ("*", "Bash", True), ("mcp__*", "mcp__a__b", True),
        ("mcp__*__get", "mcp__a__get", True), ("mcp__*__get", "mcp__a__got", False), ("B*h", "Bash\n", False),
        ("bash", "Bash", True), ("**", "x", True), ("a*" * 50 + "c", "a" * 50_000 + "b", False),
        ("a*a", "a", False), ("a*b*c", "aXbYc", True), ("a*b*c", "acb", False),
    ],
)  # fmt: skip
def test_a_star_stands_for_any_text(pattern, tool, found):
    assert matches([pattern], tool) is found


@pytest.mark.parametrize(
    ("pattern", "tools", "servers", "found"),
    [
        ("Bash", ["Bash"], [], True), ("Bash", ["Read"], ["mcp__a__"], False), ("mcp__*", [], ["mcp__a__"], True),
        ("*", ["Read"], [], True), ("mcp__a__get", [], ["mcp__a__"], True), ("mcp__b__*", [], ["mcp__a__"], False),
        ("mcp__*", ["Bash"], [], False),
    ],
)  # fmt: skip
def test_a_pattern_of_the_operator_concerns_the_jobs_that_it_may_match(pattern, tools, servers, found):
    assert may_match(pattern, servers, tools) is found


def test_a_run_that_goes_on_has_the_turns_that_are_left():
    plan = RunPlan(options=RunOptions(max_turns=3), approval=ApprovalPlan(("Bash",)))
    found = Resumption("d", "Bash", {}, KEPT, ALLOW)
    assert plan_of_job(plan, "j", found).options.max_turns == 1
    assert plan_of_job(plan, "j", None).options.max_turns == 3
    assert plan_of_job(plan, "j", found).session == SessionPlan("j", None, is_kept=False)


async def test_the_case_of_a_pattern_does_not_matter():
    """Catches a call that is made without a decision because a client wrote the name in small letters."""
    assert await before(gate_for("bash"), "Bash", {"command": "ls"}) == "defer"
    assert await before(gate_for("MCP__*"), "mcp__a__b", {}) == "defer"
    assert gate_for("task").needs_decision("Agent")


async def test_an_empty_change_makes_no_call():
    """Catches a call that the CLI makes as it was, because it takes an empty input for no change."""
    gate = gate_for("Bash", decision={**ALLOW, "updatedInput": {}})
    answer = await gate.answer("Bash", {"command": "ls"}, Context("t1"))
    assert answer.behavior == "deny"
    assert gate.begun == []
