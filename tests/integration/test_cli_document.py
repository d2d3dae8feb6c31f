"""The examples of docs/cli.md run unchanged."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway import Gateway

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
PASSWORD = "correct-horse-battery"


@pytest.fixture
def demo_gateway(tmp_path_factory):
    """A gateway without credentials, with the built-in demo model, as after `make run`."""
    variables = {"QUEUE_CONCURRENCY": "2", "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": PASSWORD}
    with Gateway(tmp_path_factory.mktemp("gateway"), **variables) as gateway:
        yield gateway


# `make docs-test` runs the same commands; here is what they print.
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(240)
def test_every_example_of_the_document_runs(demo_gateway, tmp_path):
    examples = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) >= 6
    (tmp_path / ".data").symlink_to(demo_gateway.data)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-x", "-c", "".join(examples)],
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CLAUDE_GATEWAY_URL": demo_gateway.url,
            "ADMIN_PASSWORD": PASSWORD,
        },
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=220, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for expected in ("2+2 = 4", "3+3 = 6", "4+4 = 8", '"rivers"', "is cancelled", "runs again"):
        assert expected in done.stdout


def test_every_command_and_option_is_in_the_document():
    from typer.main import get_command

    from local.ask_command import app as ask

    text = DOCUMENT.read_text()
    from local.jobs import app as jobs

    for found in (get_command(ask), get_command(jobs)):
        for part in [found, *getattr(found, "commands", {}).values()]:
            assert f"`{part.name}`" in text or f"claude-gateway {part.name}" in text or f"jobs {part.name}" in text
            for option in part.params:
                names = [flag for flag in option.opts if flag.startswith("--") and flag != "--help"]
                assert all(flag in text for flag in names), names
