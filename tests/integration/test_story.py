"""A repository with a failing test is given; a run repairs it; the patch comes back, applies, and the test passes."""

import subprocess
import sys

import pytest

from tests.support.git_server import PASSWORD, USER, GitServer, commit, git
from tests.support.scripted_model import Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow]

BROKEN = "def total(prices):\n    return sum(prices[1:])\n"
TEST = """\
import unittest
from shop import total

class Total(unittest.TestCase):
    def test_total(self):
        self.assertEqual(total([1, 2, 3]), 6)

if __name__ == "__main__":
    unittest.main()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with GitServer(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def variables(server):
    return {
        "CLAUDE_TOOLS": "Bash,Read,Edit",
        "RUN_SANDBOX": "required",
        "RUN_ALLOWED_NETWORKS": "127.0.0.0/8",
        "NODE_EXTRA_CA_CERTS": str(server.write_authority(server.folder / "ca.pem")),
    }


def passes(folder):
    done = subprocess.run([sys.executable, "-m", "unittest", "-q"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def test_a_failing_test_is_repaired_and_the_patch_applies(gateway, model, server, tmp_path):
    # A repository whose test fails, on a server that wants a credential.
    commit(tmp_path / "source", {"shop.py": BROKEN, "test_shop.py": TEST, ".gitignore": "__pycache__\n"})
    server.publish(tmp_path / "source", "shop")
    body = {"kind": "git", "value": f"{USER}:{PASSWORD}", "hosts": ["127.0.0.1"]}
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
    workspace = {"git": {"url": server.url("shop"), "credential": "robot"}}
    job = gateway.ask("Make the test pass.", tools=["Bash", "Read", "Edit"], workspace=workspace, timeoutMs=60_000)

    # A client that sees the job as completed finds its patch and its report.
    assert job["state"] == "completed", job
    assert job["result"]["patch"]["files"] == 1
    [report] = job["result"]["artifacts"]
    place = f"/api/query/{job['jobId']}"
    assert gateway.client.get(f"{place}/artifacts/{report['path']}").text.strip() == "OK"
    patch = gateway.client.get(f"{place}/patch").content

    # In a fresh clone the test fails; with the patch it passes.
    fresh = tmp_path / "fresh"
    git("clone", "-q", str(server.folder / "shop.git"), str(fresh), cwd=tmp_path)
    assert not passes(fresh)
    git("apply", "-", cwd=fresh, stdin=patch)
    assert passes(fresh)
