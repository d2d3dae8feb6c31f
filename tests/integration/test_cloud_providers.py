"""Cloud providers are used without the relay: no run there has a tool that runs commands."""

import pytest

from functions.worker.cli.plan import plan_for
from functions.worker.cli.run import Run
from functions.worker.cli.tools import run_commands
from functions.worker.cli.warm import WarmCli
from shared.configuration.settings import WorkerSettings
from shared.store.fleet.workers import Worker
from tests.support.gateway import Gateway
from tests.support.waiting import until


@pytest.mark.parametrize("tools", [["Bash"], ["Read", "PowerShell"], ["SomethingNew"], ["EnterWorktree"]])
async def test_a_tool_that_runs_commands_is_refused(monkeypatch, tools):
    """Catches a run whose tool could read the provider's credentials."""
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    settings = WorkerSettings(claude_command="/nowhere/claude")
    run = Run(settings, WarmCli(settings))
    report = await run.answer(plan_for({"query": "q", "tools": tools}, settings))
    await run.end()
    assert report.failure == "invalid_request"


async def test_a_repository_is_refused_in_words(monkeypatch):
    """Catches a run that finds an empty directory, because git has no relay there."""
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    settings = WorkerSettings(claude_command="/nowhere/claude")
    run = Run(settings, WarmCli(settings))
    workspace = {"git": {"url": "https://git.example.com/a", "depth": 1}}
    report = await run.answer(plan_for({"query": "q", "workspace": workspace}, settings))
    await run.end()
    assert report.failure == "workspace_failed"
    assert "Bedrock" in report.message


async def test_a_clients_own_tools_are_refused_in_words(monkeypatch):
    """Catches a run in which the model is offered none of them, because nothing adds them there."""
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    settings = WorkerSettings(claude_command="/nowhere/claude")
    run = Run(settings, WarmCli(settings))
    tools = [{"name": "t", "input_schema": {"type": "object"}}]
    report = await run.answer(plan_for({"query": "q", "clientTools": tools}, settings))
    await run.end()
    assert report.failure == "invalid_request"
    assert "Bedrock" in report.message


def test_reading_and_searching_are_no_commands():
    assert not run_commands(["Read", "Grep", "Glob", "WebSearch", "Edit", "Write"])
    assert not run_commands([])


@pytest.mark.parametrize(("kind", "has"), [("api_key", True), ("demo", True), ("bedrock", False), ("vertex", False)])
def test_health_knows_which_workers_have_a_relay(kind, has):
    assert Worker("w", None, kind, 1).has_relay == has


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once
def test_start_up_and_health_say_that_there_is_no_relay(tmp_path):
    variables = {"CLAUDE_TOOLS": "Bash", "CLAUDE_WARM": "false", "QUEUE_CONCURRENCY": "1"}
    with Gateway(tmp_path, CLAUDE_CODE_USE_BEDROCK="1", **variables) as gateway:
        health = gateway.until(lambda: gateway.client.get("/health").json(), lambda body: body["workers"])
        assert (health["credentials"], health["relay"], health["sandbox"]) == (["bedrock"], False, "unavailable")
        [line] = until(lambda: [line for line in list(gateway.log) if "relay_not_used" in line])
        assert "tools that run commands are refused" in line
        refused = gateway.client.post("/api/query", json={"query": "q", "tools": ["Bash"]})
        assert (refused.status_code, refused.json()["code"]) == (422, "sandbox_unavailable")
