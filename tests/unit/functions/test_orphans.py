"""The processes that a dead slot leaves to its pool."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux adopts orphans")


def test_orphans_end_and_cost_few_scans_of_proc():
    program = (sys.executable, "-m", "tests.support.orphanage", "300", "0.05")
    done = json.loads(subprocess.run(program, capture_output=True, check=True, timeout=60).stdout)
    # A scan for each orphan took a pool minutes with thousands of them.
    assert done["scans"] <= 5
    assert done["server"], "the pool's own process was ended"
