"""`make bench`: measure every number of docs/performance.md in one run, print one table and write JSON.

`python -m tests.benchmarks NAME …` measures only those parts.
"""

import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from tests.benchmarks.figures import Figure, table

PARTS = (
    "latency",
    "synchronous",
    "decisions",
    "warm",
    "sandbox",
    "commit",
    "relay",
    "distance",
    "throughput",
    "traces",
    "api",
    "depth",
    "fairness",
    "memory",
    "idle",
    "commands",
    "imports",
    "webhooks",
    "routing",
    "schedules",
    "searching",
)
WRITTEN = Path("build/bench.json")


def main() -> None:
    """Measure the named parts, or all."""
    figures: list[Figure] = []
    started = time.monotonic()
    for part in sys.argv[1:] or PARTS:
        print(f"{time.monotonic() - started:4.0f} s  {part} …", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"tests.benchmarks.{part}").measure()
    machine = f"{platform.node()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"\n{table(figures)}\n\non {machine}; took {time.monotonic() - started:.0f} s")
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps({"machine": machine, "figures": [one.as_json() for one in figures]}, indent=1))


if __name__ == "__main__":
    main()
