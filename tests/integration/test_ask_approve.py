"""`ask --approve` on a terminal: the call is shown, a line of the user decides it, and the job goes on."""

import pytest

from tests.integration.test_decisions import bash, results
from tests.support.scripted_model import Text
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def variables():
    return {"CLAUDE_TOOLS": "Bash", "CLAUDE_MAX_RETRIES": "1"}


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
