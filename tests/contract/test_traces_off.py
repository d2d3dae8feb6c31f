"""A process without traces imports nothing of OpenTelemetry's SDK, which would take it 200 ms and 20 MB."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
# FastAPI and redis-py import OpenTelemetry's API, which does nothing by itself.
SDK = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf", "requests")
# All functions, the worker's processes and the composed app in one process, a request, and a span.
USE = """
import asyncio, importlib, sys
for name in NAMES:
    importlib.import_module(name)
import httpx
from local.app import app
from shared.configuration.settings import CommonSettings, load
from shared.tracing import spans
from shared.tracing.context import of_job

async def call():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        await client.post("/nothing", headers={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})

asyncio.run(call())
spans.start(load(CommonSettings))
spans.record(spans.Span("job", of_job("01a21b11-c5d3-7d98-aeb2-4dc709020b89", None, 0, 1), None, 0, 1))
print(sorted(name for name, module in sys.modules.items() if name.startswith(SDK) and module is not None))
"""


def test_a_process_without_traces_imports_no_sdk():
    """Catches an import that makes every cold start of a function slower and every slot larger."""
    worker = [f"functions.worker.{part}" for part in ("pool.pool", "pool.slot", "webhooks.dispatcher")]
    names = [f"functions.{name}.app" for name in FUNCTIONS] + worker
    code = f"SDK = {SDK!r}\nNAMES = {names!r}\n{USE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_modules_of_traces_import_opentelemetry():
    """Catches an import at the top of a module that every process has."""
    users = {
        str(path.relative_to(ROOT))
        for part in ("functions", "shared", "local")
        for path in (ROOT / part).rglob("*.py")
        if "import opentelemetry" in (text := path.read_text()) or "from opentelemetry" in text
    }
    assert users == {"shared/tracing/exporting.py", "shared/tracing/incoming.py"}
