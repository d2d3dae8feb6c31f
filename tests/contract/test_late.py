"""A CLI that receives options late sends the request of a cold start; a release that changes that fails here."""

import asyncio
import json
import os
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from claude_agent_sdk import ResultMessage

from functions.worker.cli import late, version
from functions.worker.cli.options import as_given_late, options_for, options_of_held
from functions.worker.cli.plan import plan_for
from functions.worker.cli.process import Cli
from functions.worker.cli.prompt import messages_of
from functions.worker.cli.transcripts import place
from functions.worker.cli.workspace import Workspace
from functions.worker.mcp.broker import Broker
from shared.configuration.settings import WorkerSettings
from shared.mcp.config import Server
from tests.support import mcp_server
from tests.support.parameters import first_of, long
from tests.support.real_cli import isolated_environment
from tests.support.scripted_model import ScriptedModel

pytestmark = pytest.mark.slow


SETTINGS = WorkerSettings()
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ALL = ("Bash", "Read", "Edit", "Write", "NotebookEdit", "WebFetch", "WebSearch", "TodoWrite")
WITH_SEARCH = (*ALL, "Glob", "Grep")


@pytest.fixture
def model():
    with ScriptedModel() as scripted:
        yield scripted


@pytest.fixture
def slot(tmp_path, monkeypatch, model):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, value in isolated_environment(tmp_path, model.url).items():
        monkeypatch.setenv(name, value)


def normal(body, cli):
    """Return a request without what differs from process to process: paths, ids, and the checksum of the CLI."""
    text = json.dumps(body).replace(str(cli.folder), "FOLDER")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return re.sub(r"[0-9a-f]{64}", "DIGEST", re.sub(r"cch=\w+", "CHECKSUM", text))


@asynccontextmanager
async def requesting(cli, model, query="hello"):
    """Ask a CLI, and yield its request to the API; end the CLI."""
    try:
        await cli.start()
        before = len(model.requests)
        await cli.send(messages_of(plan_for({"query": query}, SETTINGS).prompt))
        async for message in cli.messages():
            if isinstance(message, ResultMessage):
                break
        yield normal(model.requests[before].body, cli), model.requests[before]
    finally:
        await cli.kill()


def cold(plan, **more):
    workspace = Workspace.create()
    if plan.options.system_prompt is not None:
        workspace.system_prompt.write_text(plan.options.system_prompt, encoding="utf-8", newline="")
    broker = Broker(plan.mcp.servers, workspace.root)
    options = replace(options_for(plan, SETTINGS, workspace), mcp_servers=broker.configuration(), **more)
    return Cli(workspace, options, broker=broker)


async def waiting(plan, tools=(), resumes=None):
    """Return a CLI that was started for any job and now has a plan."""
    workspace = Workspace.create()
    started = options_of_held(SETTINGS, workspace, tools=tools, resumes=resumes)
    cli = Cli(workspace, started, held=True)
    await cli.begin()
    if resumes is None:
        assert cli._held is not None
        await cli._held.rehearse("a rehearsal", lambda: True)
    broker = Broker(plan.mcp.servers, workspace.root)
    options = as_given_late(options_for(plan, SETTINGS, workspace), plan)
    options = replace(options, mcp_servers=broker.configuration())
    assert late.fits(options, started, is_relayed=True)
    cli.give(options, late.late_for(options, started), broker, no_cold_start)
    return cli


def no_cold_start():
    raise AssertionError("the CLI did not take its options late")


async def assert_same(model, plan, tools=()):
    async with requesting(cold(plan), model) as (expected, first):
        pass
    async with requesting(await waiting(plan, tools), model) as (found, second):
        pass
    assert found == expected
    own = {"x-claude-code-session-id", "content-length"}
    assert {name: value for name, value in second.headers.items() if name not in own} == {
        name: value for name, value in first.headers.items() if name not in own
    }
    return second.body


async def test_the_bundled_cli_rehearses(slot, model):
    """Catches a release that knows no question beside the conversation: its first request stays slow."""
    cli = await waiting(plan_for({}, SETTINGS))
    await cli.kill()
    bodies = [json.dumps(request.body) for request in model.requests]
    assert len(bodies) == 2
    assert all("a rehearsal" in body for body in bodies)


def test_the_bundled_cli_takes_options_late():
    """Catches a bundled release that the version check takes for an old one."""
    assert late.is_supported(version.of_cli(SETTINGS))
    assert not late.is_supported(None)
    assert not late.is_supported("2.1.329 (Claude Code)")


@pytest.mark.parametrize(
    "fields",
    [
        long({}),
        long({"systemPrompt": " Be short.\n\n"}),
        long({"systemPrompt": ""}),
        {"systemPrompt": "a\x00b /cost @/etc/passwd ${HOME} 😀\r\n"},
        long({"model": "claude-sonnet-4-5"}),
        long({"model": "opus"}),
        long({"model": "claude-of-no-release"}),
        long({"effort": "low"}),
        long({"effort": "max", "model": "claude-sonnet-4-5"}),
        long({"effort": "xhigh"}),
        long({"maxOutputTokens": 5000}),
        long({"maxOutputTokens": 500, "effort": "low"}),
        long({"maxOutputTokens": 500}),
        long({"maxOutputTokens": 1024, "model": "claude-sonnet-4-5"}),
        long({"maxOutputTokens": 1, "model": "opus", "outputSchema": SCHEMA}),
        long({"maxOutputTokens": 500, "model": "claude-of-no-release"}),
        long({"outputSchema": SCHEMA}),
        {"outputSchema": SCHEMA, "systemPrompt": "x", "model": "haiku", "effort": "high", "maxOutputTokens": 3000},
    ],
    ids=lambda fields: "-".join(fields) or "nothing",
)
async def test_a_late_option_makes_the_request_of_a_cold_start(slot, model, fields):
    """Catches a release that ignores an option that comes late, or reads it in another way."""
    await assert_same(model, plan_for(fields, SETTINGS))


@pytest.mark.parametrize(
    ("tools", "started"),
    [
        long((), ALL),
        long((), WITH_SEARCH),
        long(("Bash",), ALL),
        long(("Read",), ALL),
        long(("Read",), WITH_SEARCH),
        long(("WebFetch", "WebSearch"), WITH_SEARCH),
        long(("Glob", "Grep"), WITH_SEARCH),
        (("Bash", "Grep"), WITH_SEARCH),
        long(("TodoWrite", "NotebookEdit"), ALL),
        long(("Edit", "Write", "Bash"), ALL),
        long(("Read",), (*ALL, "Task")),
        (("Task", "Bash"), ("Task", "Bash")),
        long(ALL, ALL),
    ],
    ids=" ".join,
)
async def test_a_late_list_of_tools_makes_the_request_of_a_cold_start(slot, model, tools, started):
    """Catches a process that offers a job a tool that it has not, or describes one by those that it has not."""
    body = await assert_same(model, plan_for({"tools": list(tools)}, SETTINGS), started)
    assert {tool["name"] for tool in body.get("tools", ())} <= {*tools, "Agent"}


@pytest.mark.parametrize("tools", [long(()), ("Read",)])
async def test_a_late_schema_has_its_tool_beside_a_list_of_tools(slot, model, tools):
    """Catches a list of tools that takes the tool for the answer away."""
    fields = {"outputSchema": SCHEMA, "tools": list(tools), "systemPrompt": "x"}
    body = await assert_same(model, plan_for(fields, SETTINGS), ALL)
    assert {tool["name"] for tool in body["tools"]} == {"StructuredOutput", *tools}


@pytest.mark.parametrize(
    ("tools", "started"),
    [
        (("Bash",), ("Bash", "Grep")),
        (("Task",), ("Task", "Bash")),
        (("Agent",), ("Agent", "Bash")),
        (("Edit",), ("Read",)),
        (("Read",), ()),
    ],
)
def test_a_job_that_a_process_would_offer_other_tools_fits_none(tools, started):
    """Catches a job with Bash that is referred to search tools, and subagents with every tool of the process."""
    assert not late.tools_fit(tools, started)


@pytest.mark.parametrize("tools", [long(()), ("Read",)])
async def test_a_late_mcp_server_makes_the_request_of_a_cold_start(slot, model, tools):
    """Catches a server whose tools are not there in the first request, or that come with tools of the process."""
    server = Server(command=sys.executable, args=(mcp_server.__file__,))
    settings = WorkerSettings()
    settings._servers = {"notes": server}
    plan = plan_for({"mcpServers": ["notes"], "tools": list(tools)}, settings)
    body = await assert_same(model, plan, ALL)
    assert any(tool["name"].startswith("mcp__notes__") for tool in body["tools"])


@pytest.mark.parametrize(
    "fields", first_of([{}, {"model": "claude-sonnet-4-5", "maxOutputTokens": 500}]), ids=["plain", "model"]
)
async def test_a_session_that_continues_late_makes_the_request_of_a_cold_start(slot, model, fields):
    """Catches a waiting CLI that reads the transcript before it is placed, leaves a turn out, or adds one."""
    session = str(uuid4())
    first = Workspace.create()
    plan = plan_for({"query": "hello", **fields}, SETTINGS)
    options = replace(options_of_held(SETTINGS, first), model=plan.options.model)
    flags = {name: value for name, value in options.extra_args.items() if name != "session-mirror"}
    async with requesting(Cli(first, replace(options, extra_args=flags, session_id=session)), model, "the first"):
        [transcript] = first.config.glob("projects/*/*.jsonl")
        lines = [json.loads(line) for line in transcript.read_text().splitlines()]

    workspace = Workspace.create()
    place(lines, workspace.config, workspace.work, session)
    resumed = replace(options_for(plan, SETTINGS, workspace), extra_args=flags, resume=session)
    async with requesting(Cli(workspace, resumed), model) as (expected, _):
        pass
    own = str(uuid4())
    cli = await waiting(plan, resumes=own)
    await asyncio.sleep(0.3)  # It must wait for the request, and not for the file.
    place(lines, cli.workspace.config, cli.workspace.work, own)
    async with requesting(cli, model) as (found, request):
        pass
    assert found == expected
    assert [message["role"] for message in request.body["messages"]].count("user") == 2


@pytest.mark.long
async def test_a_schema_that_the_cli_cannot_use_offers_no_tool_for_it(slot, model):
    """Catches a release that makes something else of such a schema: the relay ends a run whose tool is not offered."""
    workspace = Workspace.create()
    started = options_of_held(SETTINGS, workspace)
    cli = Cli(workspace, started, held=True)
    cli.give(started, late.Late({"jsonSchema": {"type": "nonsense"}}), Broker({}, workspace.root), no_cold_start)
    async with requesting(cli, model) as (_, request):
        assert not request.body.get("tools")


@pytest.mark.parametrize("way", first_of(["killed", "unknown request", "refused settings"]))
async def test_a_cli_that_takes_no_late_options_is_started_cold(slot, model, way, monkeypatch, caplog):
    """Catches a job that fails, or runs without its options, when a release of the CLI takes them no more."""
    plan = plan_for({"systemPrompt": "Be short."}, SETTINGS)
    cli = await waiting(plan)
    pid = cli.pid
    other = cold(plan)
    cli._cold = lambda: other._options
    if way == "killed":
        os.kill(pid, 9)
    elif way == "unknown request":
        monkeypatch.setattr(late, "SETTINGS_REQUEST", "no_such_request")
        cli._held.give(late.Late({}, {"model": "opus"}))
    else:
        cli._held.give(late.Late({}, {"permissions": "nonsense"}))
    async with requesting(cli, model) as (_, request):
        assert cli.pid != pid
    assert "Be short." in json.dumps(request.body["system"])
    assert "late_initialization_failed" in [record.message for record in caplog.records]
    other.workspace.remove()
