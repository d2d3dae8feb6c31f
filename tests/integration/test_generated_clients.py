"""Clients are generated from the OpenAPI document, and the Python client works against a real gateway."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shared.http.route_table import DOCUMENT
from tests.integration.test_callers import keys
from tests.support.gateway import ROOT
from tests.support.scripted_replies import Error, Text, ToolUse

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.long]
PYTHON = ROOT / ".venv-clients/bin"
NODE = ROOT / "tests/clients/node_modules/.bin"
# The generator does not know the schema of these two JSON Lines responses, and returns their bodies as bytes.
UNREAD = {"GET /api/batches/{batchId}/results", "GET /v1/messages/batches/{batchId}/results"}
UNKNOWN = "019a9c3e-5a70-7b02-8b1d-6c1f0e7a9d22"
TYPED = """
import type { components, operations } from "./schema";
type Schemas = components["schemas"];
export const submitted: Schemas["SubmitRequest"] = { query: "What is 2+2?", priority: "high" };
export const code: Schemas["Problem"]["code"] = "queue_full";
export const events: operations["follow_job"]["responses"][200]["content"]["text/event-stream"] = "retry: 1000";
export const me: operations["login"]["requestBody"]["content"]["application/json"] = { username: "a", password: "" };
// @ts-expect-error -- no error has this code
export const wrong: Schemas["Problem"]["code"] = "no_such_code";
// @ts-expect-error -- a query is required
export const empty: Schemas["SubmitRequest"] = {};
"""


def generated(program: Path, *arguments: str, cwd: Path) -> str:
    if not program.exists():
        assert not os.environ.get("CI"), f"{program.name} is not installed"
        pytest.skip(f"{program.name} is not installed: run `make install-clients`")
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [program, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Import a part of the generated package by its name."""
    folder = tmp_path_factory.mktemp("generated")
    # The generated code is not formatted: nobody reads it here.
    (folder / "config.yaml").write_text("post_hooks: []\n")
    output = generated(
        PYTHON / "openapi-python-client", "generate", "--path", str(DOCUMENT), "--meta", "none",
        "--config", "config.yaml", "--output-path", "generated_gateway", cwd=folder,
    )  # fmt: skip
    assert set(re.findall(r"WARNING parsing (\S+ \S+)", output)) == UNREAD, output
    assert "will not be generated" not in output
    sys.path.insert(0, str(folder))

    def part(name: str) -> ModuleType:
        return importlib.import_module(f"generated_gateway{name}")

    yield part
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def variables():
    return {"AUTH_ENABLED": "true", "MAX_BODY_BYTES": "100000"}


@pytest.fixture(scope="module")
def client(gateway, package) -> Any:
    key = json.loads(keys(gateway, "create", "generated", "--json").stdout)["key"]
    with package(".client").AuthenticatedClient(gateway.url, key, raise_on_unexpected_status=True) as client:
        yield client


@pytest.fixture
def queries(package):
    """Return the function of an operation that returns the whole response."""
    return lambda name: package(f".api.queries.{name}").sync_detailed


def test_typescript_is_generated_and_compiles(tmp_path):
    generated(NODE / "openapi-typescript", str(DOCUMENT), "-o", "schema.ts", cwd=tmp_path)
    (tmp_path / "use.ts").write_text(TYPED)
    generated(NODE / "tsc", "--noEmit", "--strict", "use.ts", cwd=tmp_path)


def test_every_operation_has_a_function(package):
    package(".client")
    api = Path(str(package("").__file__)).parent / "api"
    made = {path.stem for path in api.rglob("*.py")} - {"__init__"}
    paths = json.loads(DOCUMENT.read_text())["paths"]
    assert made == {operation["operationId"] for operations in paths.values() for operation in operations.values()}


def test_a_query_is_submitted_awaited_listed_and_followed(client, package, queries, script):
    script(lambda body: Text("4"))
    models = package(".models")
    request = models.SubmitRequest(query="What is 2+2?", priority=models.SubmitRequestPriority.HIGH)
    accepted = queries("submit_query")(client=client, body=request, idempotency_key="one")
    assert (accepted.status_code, accepted.parsed.status) == (202, models.AcceptedStatus.QUEUED)
    job_id = accepted.parsed.job_id
    again = queries("submit_query")(client=client, body=request, idempotency_key="one")
    assert (again.parsed.job_id, again.headers["idempotent-replayed"]) == (job_id, "true")
    events = queries("follow_job")(job_id, client=client)
    assert isinstance(events.parsed, str)
    assert [line for line in events.parsed.splitlines() if line.startswith("event: ")][-1] == "event: done"
    seen = queries("read_job")(job_id, client=client, wait=25).parsed
    assert (seen.state, seen.result.response, seen.result.structured) == (models.StatusState.COMPLETED, "4", None)
    page = queries("list_jobs")(client=client, limit=1).parsed
    assert [one.job_id for one in page.jobs] == [job_id]
    cached = queries("submit_query")(client=client, body=request).parsed
    assert isinstance(cached, models.Cached)
    assert queries("usage")(client=client).parsed.days[0].jobs == 1


def test_structured_output_is_read(client, package, queries, script):
    script(lambda body: ToolUse("StructuredOutput", {"n": 4}))
    models = package(".models")
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    request = models.SubmitRequest.from_dict({"query": "n?", "outputSchema": schema})
    done = queries("submit_query")(client=client, body=request, prefer="wait=25").parsed
    assert (done.result.structured, done.result.format_) == ({"n": 4}, models.ResultFormat.JSON)


def test_a_job_that_fails_says_why(client, package, queries, script):
    script(lambda body: Error(400, "invalid_request_error"))
    request = package(".models").SubmitRequest(query="refuse me")
    done = queries("submit_query")(client=client, body=request, prefer="wait=25").parsed
    assert (done.state.value, done.error.code.value) == ("failed", "invalid_request")


def test_a_batch_is_submitted_and_read(client, package, script):
    script(lambda body: Text("yes"))
    models, batches = package(".models"), ".api.batches"
    request = models.BatchRequest.from_dict({"queries": [{"query": "a"}, {"query": "b", "customId": "second"}]})
    batch = package(f"{batches}.submit_batch").sync(client=client, body=request)
    assert batch.counts.total == 2
    assert package(f"{batches}.read_batch").sync(batch.batch_id, client=client).batch_id == batch.batch_id
    assert package(f"{batches}.cancel_batch").sync(batch.batch_id, client=client).state.value in {"cancelling", "ended"}


def test_errors_are_problems_with_a_known_code(client, package, queries):
    models, submit = package(".models"), queries("submit_query")
    query = models.SubmitRequest.from_dict
    submit(client=client, body=query({"query": "first"}), idempotency_key="two")
    with package(".client").AuthenticatedClient(client._base_url, "cgk_wrong") as nobody:
        refused = submit(client=nobody, body=query({"query": "q"}))
    seen = [
        refused,
        submit(client=client, body=query({"query": "q" * 200_000})),
        submit(client=client, body=query({"query": " "})),
        submit(client=client, body=query({"query": "another"}), idempotency_key="two"),
        submit(client=client, body=query({"query": "q", "webhookUrl": "http://10.0.0.1/"})),
        queries("read_job")(UNKNOWN, client=client),
    ]
    assert [one.status_code for one in seen] == [401, 413, 422, 422, 422, 404]
    assert [(one.parsed.status, one.parsed.code.value) for one in seen] == [
        (401, "unauthorized"), (413, "payload_too_large"), (422, "invalid_request"), (422, "idempotency_mismatch"),
        (422, "webhook_url_refused"), (404, "not_found"),
    ]  # fmt: skip
    assert [error.pointer for error in seen[2].parsed.errors] == ["/query"]
