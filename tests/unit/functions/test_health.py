"""The health check of a container starts with every secret of the worker, next to tools of runs."""

import subprocess
import sys

from tests.support.gateway import ROOT


def test_the_health_check_hides_its_variables_before_large_imports():
    """Catches a password of the store that is readable in /proc during the check's imports."""
    large = ("pydantic", "redis", "shared.configuration.settings")
    program = f"import sys, functions.worker.health; print([name for name in {large!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
