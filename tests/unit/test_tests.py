"""Rules that keep tests from hanging."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_no_test_waits_without_limit_at_the_end_of_a_process():
    found = [
        path.name
        for path in TESTS.rglob("*.py")
        if path != Path(__file__) and re.search(r"with \(?\s*(subprocess|psutil)\.Popen\(", path.read_text())
    ]
    assert found == [], "use tests.support.processes.running: the `with` of Popen waits for ever"


def test_an_interrupt_that_the_shell_ignores_reaches_what_a_test_starts():
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "True\n"


# The child ends with the process that runs the test.
HANGING = """
import os, subprocess, sys
def test_hang():
    held, end = os.pipe()
    code = f"import os; os.read({held}, 1)"
    with subprocess.Popen([sys.executable, "-c", code], pass_fds=[held]) as process:
        process.wait()
"""


def test_a_test_that_outlives_its_timeout_is_ended(tmp_path):
    (tmp_path / "test_hang.py").write_text(HANGING)
    command = [sys.executable, "-m", "pytest", "-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["--timeout", "1", "-o", "faulthandler_timeout=3", "-p", "no:cacheprovider", "test_hang.py"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 1
    assert "Timeout (0:00:03)!" in done.stderr
    assert "test_hang.py" in done.stderr
