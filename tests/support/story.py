"""The story of this product: a repository with a failing test, a run that repairs it, and a patch that applies."""

import subprocess
import sys
from pathlib import Path

from tests.support.client import GatewayClient
from tests.support.git_server import PASSWORD, USER, GitServer, commit, git
from tests.support.scripted_model import ScriptedModel, Text, ToolUse

_BROKEN = "def total(prices):\n    return sum(prices[1:])\n"
_TEST = """\
import unittest
from shop import total

class Total(unittest.TestCase):
    def test_total(self):
        self.assertEqual(total([1, 2, 3]), 6)

if __name__ == "__main__":
    unittest.main()
"""


def check_that_a_failing_test_is_repaired(
    gateway: GatewayClient, model: ScriptedModel, server: GitServer, url: str, folder: Path
) -> None:
    """Go through the story; `url` is where the gateway's workers find the repository `shop` of the server."""
    # A repository whose test fails, on a server that wants a credential.
    commit(folder / "source", {"shop.py": _BROKEN, "test_shop.py": _TEST, ".gitignore": "__pycache__\n"})
    server.publish(folder / "source", "shop")
    host = url.split("/")[2].partition(":")[0]
    body = {"kind": "git", "value": f"{USER}:{PASSWORD}", "hosts": [host]}
    gateway.client.put("/api/credentials/robot", json=body).raise_for_status()

    # The model runs the test, reads and edits the file, runs the test again, and leaves a report.
    run_test = "python3 -m unittest -q 2>&1 | tail -1"
    model.script(
        ToolUse("Bash", {"command": run_test}),
        ToolUse("Read", {"file_path": "/work/shop.py"}),
        ToolUse("Edit", {"file_path": "/work/shop.py", "old_string": "sum(prices[1:])", "new_string": "sum(prices)"}),
        ToolUse("Bash", {"command": f"mkdir outputs && {run_test} | tee outputs/report.txt"}),
        Text("The sum left out the first price."),
    )
    workspace = {"git": {"url": url, "credential": "robot"}}
    job = gateway.ask("Make the test pass.", tools=["Bash", "Read", "Edit"], workspace=workspace, timeoutMs=60_000)

    # A client that sees the job as completed finds its patch and its report.
    assert job["state"] == "completed", job
    assert job["result"]["patch"]["files"] == 1
    [report] = job["result"]["artifacts"]
    place = f"/api/query/{job['jobId']}"
    assert gateway.client.get(f"{place}/artifacts/{report['path']}").text.strip() == "OK"
    patch = gateway.client.get(f"{place}/patch").content

    # In a fresh clone the test fails; with the patch it passes.
    fresh = folder / "fresh"
    git("clone", "-q", str(server.folder / "shop.git"), str(fresh), cwd=folder)
    assert not _passes(fresh)
    git("apply", "-", cwd=fresh, stdin=patch)
    assert _passes(fresh)


def _passes(folder: Path) -> bool:
    command = [sys.executable, "-m", "unittest", "-q"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
