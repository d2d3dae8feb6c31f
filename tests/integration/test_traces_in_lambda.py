"""Traces of a Lambda function, which is frozen after each answer: its spans are exported before."""

import os
import subprocess
import sys
import threading

import pytest

from tests.support.collector import Collector
from tests.support.gateway import ROOT

pytestmark = pytest.mark.once

# No thread exports in the background, as in a frozen process, and the process ends without an export of its own.
INVOKE = """
import json, os, sys
from shared.tracing import exporting
exporting._EXPORT_EVERY = 3600.0
from shared.http import lambda_telemetry
lambda_telemetry._EXPORT_WITHIN = float(sys.argv[1])
from functions.submit.app import handler
from local.lambda_emulator.environment import Context
event = json.load(open("tests/events/SubmitQuery.json"))
event["headers"]["traceparent"] = sys.argv[2]
for _ in range(2):
    answer = handler(event, Context("id", "Submit", "arn:aws:lambda:local:000000000000:function:Submit"))
print(answer["statusCode"], flush=True)
os._exit(0)
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def invoke(collector, within):
    """Invoke the function twice in an environment of its own; return the status of the last answer."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "AWS_LAMBDA_FUNCTION_NAME": "Submit",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "AUTH_ENABLED": "true", "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    command = [sys.executable, "-c", INVOKE, str(within), f"00-{TRACE}-00f067aa0ba902b7-01"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_function_exports_its_span_before_it_answers():
    """Catches spans that wait in a frozen process for the next request."""
    with Collector() as collector:
        assert invoke(collector, within=20) == "401"
        assert [(span.name, span.trace_id) for span in collector.spans] == [("POST /api/query", TRACE)] * 2


def test_a_function_answers_without_a_collector_that_answers():
    """Catches a function that waits for a silent collector at each of its answers."""
    answered = threading.Event()
    with Collector(lambda: 200 * answered.wait(60)) as collector:
        assert invoke(collector, within=0.1) == "401"
        answered.set()
        assert len(collector.requests) <= 1
