"""Measure a job with its own options, in the sandbox, against the bare CLI with the same options.

A second passes between two jobs, so that a slot has a waiting CLI. The model answers immediately.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.benchmarks.cpu import machine
from tests.benchmarks.figures import Figure
from tests.support import mcp_server
from tests.support.gateway import Gateway
from tests.support.real_cli import ask_real_cli
from tests.support.scripted_model import ScriptedModel, Text, ToolUse

RUNS, PAUSE = 7, 1.0
MODEL = "claude-sonnet-4-5"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
STARTED_WITH = "Bash,Read,Edit,Write,Glob,Grep"


@dataclass(frozen=True)
class Job:
    """One kind of job: fields of the request, flags of the bare CLI, and the goal."""

    name: str
    goal: float
    fields: dict[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    continues: bool = False


def _jobs(folder: Path) -> list[Job]:
    servers = folder / "mcp.json"
    entry = {"command": sys.executable, "args": [mcp_server.__file__]}
    ours = {**entry, "description": "notes", "keywords": ["notes"], "shared": True}
    servers.write_text(json.dumps({"mcpServers": {"notes": ours}}))
    mcp_flags = ("--strict-mcp-config", f"--mcp-config={servers}", "--allowedTools", "mcp__notes")
    prompt = ("--system-prompt", "Be short.", "--model", MODEL, "--effort", "low")
    return [
        Job("plain", 0.24),
        Job(
            "system prompt, model, effort", 0.33, {"systemPrompt": "Be short.", "model": MODEL, "effort": "low"}, prompt
        ),
        Job("schema", 0.36, {"outputSchema": SCHEMA}, ("--json-schema", json.dumps(SCHEMA))),
        Job("MCP server, one call", 0.40, {"mcpServers": ["notes"]}, mcp_flags),
        Job("tools", 0.36, {"tools": ["Read", "Edit"]}, ("--tools", "Read,Edit", "--allowedTools", "Read,Edit")),
        Job("turn of a conversation", 0.70, continues=True),
    ]


def _reply(body: dict[str, Any]) -> Any:
    """Call the tool of a schema or of an MCP server once, and then answer."""
    names = [tool["name"] for tool in body.get("tools", ())]
    called = any(block.get("type") == "tool_result" for block in body["messages"][-1]["content"] if block != "")
    if "StructuredOutput" in names and not called:
        return ToolUse("StructuredOutput", {"a": 1})
    found = next((name for name in names if name.startswith("mcp__")), None)
    return ToolUse(found, {"text": "x"}) if found and not called else Text("ok")


def through(gateway: Gateway, job: Job) -> Callable[[], None]:
    """Return a function that runs a job of a kind and waits for its answer."""
    number = iter(range(1_000_000))
    session: dict[str, Any] = {"session": True} if job.continues else {}

    def ask() -> None:
        body = {"query": f"hello {job.name} {next(number)}", **job.fields, **session}
        answer = gateway.client.post("/api/query", json=body, headers={"prefer": "wait=25"}).json()
        assert answer.get("state") == "completed", answer
        if job.continues:
            session.clear()
            session["sessionId"] = answer["result"]["sessionId"]

    return ask


def _bare(url: str, folder: Path, job: Job) -> Callable[[], None]:
    home = folder / f"bare-{job.name.replace(' ', '-')}"
    home.mkdir()
    session = str(uuid4())
    turns = iter(range(1_000_000))

    def ask() -> None:
        flags = job.flags
        if job.continues:
            flags = (f"--session-id={session}",) if next(turns) == 0 else (f"--resume={session}",)
        assert ask_real_cli("hello", url, home, *flags)["subtype"] == "success"

    return ask


@contextmanager
def gateway(folder: Path, url: str, **more: str) -> Iterator[Gateway]:
    """Run a gateway with one slot."""
    folder.mkdir(exist_ok=True)
    variables = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "1"}
    with Gateway(folder, **variables, CLAUDE_TOOLS=STARTED_WITH, **more) as one:
        yield one


def medians(asks: dict[str, Callable[[], None]]) -> dict[str, tuple[float, float]]:
    """Return the median ms of each way and of its CPU, measured in turn; the first round is not counted.

    The CPU is that of the whole machine until the next job, with the start of the next CLI.
    """
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
    for turn in range(RUNS + 1):
        for name, ask in asks.items():
            started, busy = time.perf_counter(), machine()
            ask()
            milliseconds = (time.perf_counter() - started) * 1000
            time.sleep(PAUSE)
            if turn:
                took[name].append((milliseconds, (machine() - busy) * 1000))
    return {
        name: (statistics.median(one for one, _ in all_), statistics.median(cpu for _, cpu in all_))
        for name, all_ in took.items()
    }


def measure() -> list[Figure]:
    """Measure each kind of job."""
    figures = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = stack.enter_context(ScriptedModel(_reply))
        jobs = _jobs(folder)
        servers = {"MCP_ENABLED": "true", "MCP_CONFIG": str(folder / "mcp.json")}
        ours = stack.enter_context(gateway(folder / "g", model.url, **servers))
        for job in jobs:
            took = medians({"ours": through(ours, job), "bare": _bare(model.url, folder, job)})
            (mine, my_cpu), (bare, its_cpu) = took["ours"], took["bare"]
            detail = f"{mine:.0f} ms, {bare:.0f} ms; CPU of a job {my_cpu:.0f} ms, {its_cpu:.0f} ms"
            ratio = mine / bare
            what = f"job in the sandbox: {job.name}"
            figures.append(Figure(what, "bare CLI, same options", ratio, "≤", job.goal, detail=detail))
    return figures
