"""Frameworks as they are, each against a gateway with nothing changed but the base URL; `make clients` runs this.

The table of docs/clients.md says which calls work; the tests read it.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.messages_api import tool_results
from tests.support.gateway import Gateway
from tests.support.real_cli import REAL_CLI
from tests.support.scripted_model import ScriptedModel
from tests.support.scripted_replies import Text, ToolUse

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ROOT / ".venv-frameworks/bin/python"
PROGRAMS = Path(__file__).parent / "programs"
# `make clients-short`: both APIs, from Python, from JavaScript and from the CLI.
SHORT = {"ai_sdk.mjs", "claude_cli.py", "litellm_both.py"}
NAMES = [
    pytest.param(path.name, marks=() if path.name in SHORT else pytest.mark.slow)
    for path in sorted(PROGRAMS.glob("*.*"))
    if path.stem not in {"common", "langchain_agent"}
]
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not FRAMEWORKS.exists(), reason="`make install-frameworks` installs the frameworks"),
]


# The tools of the programs, with an input for each.
CALLS: dict[str, dict[str, Any]] = {"add": {"a": 2, "b": 2}, "Bash": {"command": "expr 2 + 2"}}


def reply(body):
    """Answer 4, as structured output or as text; with a tool, what the tool returned."""
    tools = [tool["name"] for tool in body.get("tools", ())]
    results = tool_results(body)
    for name in tools:
        if name in CALLS and not results:
            return [Text("Let me see."), ToolUse(name, CALLS[name])]
        if name in {"StructuredOutput", "Number", "final_result"}:
            return ToolUse(name, {"n": 4})
    return Text(["It is ", f"{results[-1].strip() if results else 4}."])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway of two slots, before a model that answers everything with 4."""
    with ScriptedModel(reply) as model:
        variables = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "k", "QUEUE_CONCURRENCY": "2"}
        with Gateway(tmp_path_factory.mktemp("gateway"), **variables) as gateway:
            yield gateway


def results(program, url, folder):
    """Run a program, and return the result of each of its calls."""
    command = ["node" if program.endswith(".mjs") else str(FRAMEWORKS), str(PROGRAMS / program), url]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "CLAUDE": str(REAL_CLI)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def listed(program):
    """Return the calls that the table says work, and those that are refused."""
    document = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    [row] = [line for line in document.splitlines() if line.startswith("|") and f"`{program}`" in line]
    works, refused = (set(re.findall(r"`(\w+)`", cell)) for cell in row.split("|")[3:5])
    return works, refused


@pytest.mark.parametrize("program", NAMES)
def test_a_framework_works_as_the_table_says(gateway, program, tmp_path):
    """Catches a release of a framework, or a change of ours, after which a call fails or is no longer refused."""
    found = results(program, gateway.url, tmp_path)
    works = {call for call, result in found.items() if result == (4 if "structured" in call else "It is 4.")}
    refused = {call for call, result in found.items() if "support" in str(result)}
    assert (works, refused) == listed(program), found
    assert works | refused == set(found)
