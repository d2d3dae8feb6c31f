"""The real Claude CLI, run once and in isolation against a Messages API of ours."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import claude_agent_sdk

REAL_CLI = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"


def isolated_environment(home: Path, url: str) -> dict[str, str]:
    """Return the environment of a CLI that calls `url` and leaves nothing outside `home`."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "anything",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
    }


def ask_real_cli(query: str, url: str, home: Path, *flags: str) -> Any:
    """Run one query without tools or settings and return the CLI's result envelope; AssertionError without one."""
    command = [str(REAL_CLI), "-p", "--output-format", "json", "--tools", "", "--setting-sources", "", *flags]
    run = subprocess.run(
        command,
        input=query,
        env=isolated_environment(home, url),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout, run.stderr
    return json.loads(run.stdout)
