"""The API conforms to its OpenAPI document for every generated request; driven by schemathesis."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_cli import fake_cli
from tests.support.gateway import ROOT

COMMAND = Path(sys.executable).parent / "schemathesis"


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    # A stand-in for the CLI that answers at once, because only the API is tested here.
    command = fake_cli(tmp_path_factory.mktemp("cli"), "success")
    # Limits of a deployment, which the document cannot know, are off.
    limits = {"MAX_QUEUE_DEPTH": "1000000", "CLAUDE_TIMEOUT": "86400000", "CALLER_MAX_BYTES": "1000000000000"}
    limits["SESSION_TTL"] = "315360000"
    return {"CLAUDE_COMMAND": str(command), "RUN_SANDBOX": "off", "MAX_CALLER_FILE_BYTES": "1000000000000", **limits}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.once  # `test_every_route` calls each handler
@pytest.mark.timeout(600)
@pytest.mark.parametrize("most", [3, 10])
def test_no_generated_request_breaks_the_contract(gateway, tmp_path, most):
    options = {
        "--checks": "all",
        # DELETE cancels: the job stays readable, as the contract says.
        "--exclude-checks": "use_after_free",
        "--phases": "examples,coverage,fuzzing,stateful",
        "--max-examples": str(most),
        "--seed": "1",
        "--generation-database": "none",
        "--request-timeout": "30",
    }
    done = subprocess.run(
        [
            COMMAND,
            "--config-file",
            str(ROOT / "tests/support/schemathesis.toml"),
            "run",
            f"{gateway.url}/openapi.json",
            "--no-color",
            *(part for pair in options.items() for part in pair),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        timeout=580,  # a bound on hangs
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    tried = re.search(r"([0-9]+) generated, ([0-9]+) passed", done.stdout)
    assert tried is not None, done.stdout[-2000:]
    assert tried[1] == tried[2] != "0"
