"""The plan of a run, as it is made from a stored request."""

import pytest

from functions.worker.cli.plan import RunPlan, SessionPlan, plan_for
from shared.configuration.settings import WorkerSettings

SETTINGS = WorkerSettings(claude_model="default", max_budget_usd=2.0)
STORED = {
    "query": "q", "context": {"a": 1}, "model": "m", "systemPrompt": "s", "maxTurns": 3, "maxBudgetUsd": 1.5,
    "effort": "low", "maxOutputTokens": 9, "tools": ["Read"], "outputSchema": {"type": "object"},
    "mcpServers": ["unknown"], "conversation": {"id": "new", "from": "old"}, "credential": "mine",
    "fallbackModels": ["f"],
}  # fmt: skip


def test_a_plan_has_everything_that_a_request_asks_for():
    """Catches a field of a stored request that a run would ignore."""
    plan, options = plan_for(STORED, SETTINGS), plan_for(STORED, SETTINGS).options
    assert (plan.prompt.query, plan.prompt.context) == ("q", {"a": 1})
    assert (options.model, options.system_prompt, options.effort) == ("m", "s", "low")
    assert (options.max_turns, options.max_output_tokens, options.max_budget_usd) == (3, 9, 1.5)
    assert (options.tools, options.output_schema) == (("Read",), {"type": "object"})
    assert plan.session == SessionPlan("new", "old")
    assert (plan.credential, plan.fallback_models) == ("mine", ("f",))
    assert plan.session.is_fork


def test_the_defaults_of_the_deployment_apply():
    options = plan_for({"query": "q"}, SETTINGS).options
    assert (options.model, options.max_budget_usd) == ("default", 2.0)
    assert plan_for({"query": "q"}, WorkerSettings()).options.max_budget_usd is None


@pytest.mark.parametrize(("budget", "spent", "left"), [(1.5, 0.5, 1.0), (5.0, 0.5, 1.5), (1.0, 1.25, -0.25)])
def test_earlier_attempts_reduce_the_budget(budget, spent, left):
    """Catches a retried job that gets its whole budget again."""
    assert plan_for({"query": "q", "maxBudgetUsd": budget}, SETTINGS, spent_usd=spent).options.max_budget_usd == left


def test_a_server_that_the_worker_does_not_have_stays_in_the_plan():
    """Catches a run that does not report a missing server as absent."""
    plan = plan_for(STORED, SETTINGS)
    assert (plan.mcp.names, plan.mcp.servers) == (("unknown",), {})


@pytest.mark.parametrize(
    ("stored", "is_fork"),
    [({"id": "a", "from": None}, False), ({"id": "a", "from": "a"}, False), ({"id": "b", "from": "a"}, True)],
)
def test_a_session_is_new_continued_or_forked(stored, is_fork):
    session = plan_for({"query": "q", "conversation": stored}, SETTINGS).session
    assert session is not None
    assert session.is_fork == is_fork


def test_the_default_plan_uses_no_tools_and_no_session():
    """Catches a default that no warm CLI fits."""
    plan = plan_for({"query": "q"}, WorkerSettings())
    assert not plan.uses_tools
    assert plan == RunPlan(prompt=plan.prompt)


def hosts_of(stored, *allowed):
    return plan_for({"query": "q", **stored}, WorkerSettings(run_allowed_hosts=allowed)).allowed_hosts


def test_tools_may_reach_all_hosts_of_the_worker_by_default():
    assert hosts_of({"tools": ["Bash"]}, "a.example", "*.b.example") == ("a.example", "*.b.example")
    assert hosts_of({"tools": ["Bash"]}) == ()


def test_a_run_without_tools_may_reach_no_host():
    assert hosts_of({}, "a.example") == ()
    assert hosts_of({"network": {"allowedHosts": ["a.example"]}}, "a.example") == ()


def test_a_request_narrows_the_hosts_and_never_widens_them():
    """Catches a worker that trusts an API with other settings."""
    tools = {"tools": ["Bash"], "network": {"allowedHosts": ["a.example", "evil.example", "c.b.example"]}}
    assert hosts_of(tools, "a.example", "*.b.example") == ("a.example", "c.b.example")
    assert hosts_of({"tools": ["Bash"], "network": {"allowedHosts": []}}, "a.example") == ()


@pytest.mark.parametrize(
    ("pattern", "fields", "waits"),
    [
        ("Agent", {"agents": ["helper"]}, True),
        ("Task", {"agents": ["helper"]}, True),
        ("Skill", {"skills": ["any"]}, True),
        ("bash", {"tools": ["Bash"]}, True),
        ("MCP__SHOP__*", {"mcpServers": ["shop"]}, True),
        ("Agent", {"tools": ["Read"]}, False),
        ("mcp__other__*", {"mcpServers": ["shop"]}, False),
    ],
)
def test_a_tool_of_the_operator_waits_however_the_job_has_it(tmp_path, pattern, fields, waits):
    """Catches ALWAYS_ASK_TOOLS that a request gets round: by an agent, a skill, another name or another case."""
    (tmp_path / "helper.md").write_text("---\nname: helper\ndescription: Helps.\n---\nHelp.\n")
    settings = WorkerSettings(agents_dir=tmp_path, always_ask_tools=pattern)
    assert (plan_for({"query": "q", **fields}, settings).approval is not None) == waits
