"""`ask --approve` on a terminal: the call is shown, a line of the user decides it, and the job goes on."""

import pytest

from tests.integration.test_decisions import bash, results
from tests.integration.test_messages import release, steps_of, wait_for
from tests.support.scripted_model import Text, ToolUse
from tests.support.terminal import Terminal
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash,Write", "CLAUDE_MAX_RETRIES": "1"}


@pytest.mark.parametrize(
    ("lines", "made"), [(["what", "y"], "made it"), (["n", "not today"], "not today")], ids=["allowed", "denied"]
)
def test_a_line_on_the_terminal_decides_the_call(gateway, model, tmp_path, lines, made):
    """Catches a line that steers the job although it decides, or a terminal that shows no call or no answer."""
    model.script(bash("echo made it"), Text("the end"))
    arguments = ("ask", f"job {lines}", "--tool", "Bash", "--approve", "Bash")
    with Terminal(tmp_path, gateway.url, *arguments) as terminal:
        terminal.until("echo made it")
        terminal.until("Allow it? [y/n]")
        for line in lines:
            terminal.type(line + "\n")
        terminal.until("the end")
        assert terminal.end() == 0
    assert made in str(results(model)[0]["content"])


@pytest.mark.slow
def test_a_line_steers_or_decides_but_never_both(gateway, model, tmp_path):
    """Catches a decision that the model gets as a message, and a message that decides the next call."""
    model.script(wait_for(), ToolUse("Write", {"file_path": "w", "content": "x"}), Text("the end"))
    arguments = ("ask", "steered", "--tool", "Bash", "--tool", "Write", "--approve", "Write")
    with Terminal(tmp_path, gateway.url, *arguments) as terminal:
        job = until(lambda: gateway.client.get("/api/query?state=active").json()["jobs"])[0]["jobId"]
        until(lambda: steps_of(gateway, job))
        terminal.type("y\n")
        until(lambda: [step for step in steps_of(gateway, job) if step["kind"] == "message"])
        terminal.type("y")  # without Enter: what precedes a question is no answer to it
        release(gateway)
        terminal.until("Allow it? [y/n]")
        terminal.type("\n")
        terminal.until("Allow it? [y/n] \r\nAllow it? [y/n]")
        assert gateway.job(job)["state"] == "paused"
        terminal.type("n\n")
        terminal.until("Message to the model")
        terminal.type("not that file\n")
        terminal.until("the end")
        assert terminal.end() == 0
    messages = [step["input"]["text"] for step in steps_of(gateway, job) if step["kind"] == "message"]
    assert messages == ["y"]
    assert "not that file" in str(results(model)[-1]["content"])
