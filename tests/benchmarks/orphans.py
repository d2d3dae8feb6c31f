"""Measure the pool's CPU while it ends the processes that a dead slot has left to it."""

import json
import subprocess
import sys

from tests.benchmarks.figures import Figure

ORPHANS, PAUSE = 8000, 1.0


def measure() -> list[Figure]:
    """Let a pool adopt and end them; to make so many takes a minute or two."""
    program = (sys.executable, "-m", "tests.support.orphanage", str(ORPHANS), str(PAUSE))
    done = json.loads(subprocess.run(program, capture_output=True, check=True, timeout=600).stdout)
    detail = f"{done['cpu']:.2f} of {done['took']:.1f} s"
    share = done["cpu"] / done["took"]
    return [Figure(f"CPU of the pool while {ORPHANS:,} orphans end", "one core", share, "≤", 0.2, detail=detail)]
