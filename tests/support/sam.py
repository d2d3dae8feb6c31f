"""The `sam` command, and the recorded events of the template's routes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.docker import LAMBDA_IMAGE
from tests.support.gateway import ROOT

SAM = ROOT / ".venv-sam/bin/sam"
EVENTS = ROOT / "tests/events"
# Makes SAM use the local image without a pull.
LOCAL = ("--invoke-image", LAMBDA_IMAGE, "--skip-pull-image")
# The job and the caller in the events.
JOB = "01a00000-0000-7000-8000-000000000000"


def event(name: str, job: str = JOB) -> dict[str, Any]:
    """Return the recorded event of that name for a job."""
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8").replace(JOB, job))
    return found


def environment(**variables: str) -> dict[str, str]:
    """Return an environment for `sam` without AWS, so that it connects to Docker only."""
    # No credentials: with some it would call AWS to identify them.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PIP_CERT") if name in os.environ}
    return {**kept, "AWS_DEFAULT_REGION": "eu-west-1", "SAM_CLI_TELEMETRY": "0", **variables}


def run_sam(*arguments: str, cwd: Path, timeout: float = 400) -> subprocess.CompletedProcess[str]:
    """Run `sam` to its end; AssertionError with its output unless it succeeds."""
    done = subprocess.run(
        [str(SAM), *arguments], cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
