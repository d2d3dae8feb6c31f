"""Measure the imports of a cold start, compared with importing all dependencies of API and worker.

In Lambda's Python, 3.13, in the gateway's image where Docker has it, else in this Python. Each import is in a process
of its own. The results are medians of the ratios of rounds, minus an empty process, in CPU time, which other load on
the machine does not change.
"""

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.figures import Figure

ROUNDS = 3
FUNCTIONS = sorted(path.parent.name for path in (Path(__file__).parents[2] / "functions").glob("*/app.py"))
EVERYTHING = (
    "claude_agent_sdk fastapi httpcore httptools httpx jinja2 jsonschema_rs mangum mcp prometheus_client"
    " pydantic_settings redis.asyncio rq standardwebhooks typer uvicorn uvloop yaml aws_lambda_powertools"
    " aws_lambda_powertools.metrics"
)
IMAGE = "claude-gateway:local"
CODE = f"""
import json, os, resource, subprocess, sys

os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "f"
os.environ["POWERTOOLS_SERVICE_NAME"] = "f"
everything = {EVERYTHING.replace(" ", ", ")!r}
subjects = {{name: f"import functions.{{name}}.app" for name in {FUNCTIONS!r}}}
subjects |= {{"everything": f"import {{everything}}", "nothing": "pass"}}
taken = {{name: [] for name in subjects}}
for _ in range({ROUNDS} + 1):
    for name, code in subjects.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
# The first of each fills the machine's caches.
print(json.dumps({{name: seconds[1:] for name, seconds in taken.items()}}))
"""


def measure() -> list[Figure]:
    """Measure."""
    docker = shutil.which("docker")
    there = docker and subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False)
    inside = there and there.returncode == 0
    command = [docker, "run", "--rm", "--entrypoint", "python", IMAGE] if docker and inside else [sys.executable]
    done = subprocess.run([*command, "-c", CODE], capture_output=True, text=True, check=True)
    taken = json.loads(done.stdout)
    nothing = taken.pop("nothing")
    everything = taken.pop("everything")
    where = "Python 3.13 in the image" if inside else f"this Python, {sys.version.split()[0]}"
    against = "all dependencies of API and worker"
    figures = []
    for name, rounds in taken.items():
        of_each = zip(rounds, nothing, everything, strict=True)
        ratio = statistics.median((one - empty) / (all_ - empty) for one, empty, all_ in of_each)
        detail = f"CPU {(statistics.median(rounds) - statistics.median(nothing)) * 1000:.0f} ms; {where}"
        what = f"import of {name}, fresh process"
        figures.append(Figure(what, against, ratio, "≤" if name == "submit" else "", 0.42, detail=detail))
    return figures
