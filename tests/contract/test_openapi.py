"""The committed OpenAPI document is complete and agrees with the code, and every function serves it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from functions.admin.access import COOKIE
from functions.admin.app import app as admin
from functions.anthropic.app import app as anthropic
from functions.batches.app import app as batches
from functions.credentials.app import app as credentials
from functions.files.app import app as files
from functions.openai.app import app as openai
from functions.schedules.app import app as schedules
from functions.status.app import app as status
from functions.submit.app import app as submit
from functions.webhook.app import app as webhook
from local.openapi import document
from shared.api.errors import GatewayError
from shared.api.models import Accepted, Status
from shared.api.requests import SubmitRequest
from shared.http.problems import Problem
from shared.http.route_table import DOCUMENT

SPEC = json.loads(DOCUMENT.read_text(encoding="utf-8"))
OPERATIONS = [
    pytest.param(path, operation, id=f"{method} {path}")
    for path, operations in SPEC["paths"].items()
    for method, operation in operations.items()
]
CALLER: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}, {}]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def target(reference: str) -> Any:
    found = SPEC
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def codes_of(error: type[GatewayError]) -> set[str]:
    return {error.code}.union(*(codes_of(child) for child in error.__subclasses__()))


def test_the_committed_document_is_the_generated_one():
    assert DOCUMENT.read_text() == document(), "run `make openapi`"


def test_every_reference_resolves():
    found = set(references(SPEC))
    assert len(found) > 30
    for reference in found:
        assert isinstance(target(reference), dict), reference


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_every_operation_declares_its_security(path, operation):
    expected: list[dict[str, list[str]]]
    if path in {"/api/downloads/{token}", "/decide/{jobId}/{token}"}:
        expected = []  # the token is the credential
    elif path.startswith(("/api/", "/v1/")) or path == "/metrics":
        expected = CALLER
    elif path.startswith("/admin/api/"):
        expected = [{"basic": []}, {"cookie": []}]
    elif path == "/admin/logout":
        expected = [{"cookie": []}, {}]
    else:
        expected = []
        assert path in {"/", "/health", "/health/live", "/admin", "/admin/login"}
    assert operation["security"] == expected


def test_the_security_schemes_are_those_of_the_code():
    schemes = SPEC["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {
        "bearer": "http", "apiKey": "apiKey", "basic": "http", "cookie": "apiKey",
    }  # fmt: skip
    assert (schemes["apiKey"]["name"], schemes["cookie"]["name"]) == ("X-API-Key", COOKIE)


def test_the_codes_of_errors_are_those_of_the_code():
    assert set(SPEC["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == codes_of(GatewayError)


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_every_error_names_the_codes_of_its_status(path, operation):
    for code, response in operation["responses"].items():
        content = response.get("content", {}).get("application/problem+json")
        if content is None:
            continue
        assert content["examples"]
        for name, example in content["examples"].items():
            value = target(example["$ref"])["value"]
            assert (value["code"], value["status"]) == (name, int(code))
            Problem.model_validate(value)


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_streams_are_described_as_text(path, operation):
    for response in operation["responses"].values():
        for kind, content in response.get("content", {}).items():
            if "json" not in kind or kind.endswith("jsonl"):
                assert content["schema"]["type"] == "string", kind


def test_operation_ids_are_unique_and_short():
    ids = [operation.values[1]["operationId"] for operation in OPERATIONS]  # type: ignore[index]
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) < 30


def test_no_field_of_a_body_has_a_default():
    """Generated TypeScript would require the field, and a generated client would send its own copy of the default."""
    for name, schema in SPEC["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert "default" not in described, f"{name}.{field}"


def test_queries_are_listed_first():
    assert SPEC["tags"][0]["name"] == "queries"
    assert next(iter(SPEC["paths"])) == "/api/query"
    declared = {tag["name"] for tag in SPEC["tags"]}
    assert {name for operation in OPERATIONS for name in operation.values[1]["tags"]} <= declared  # type: ignore[index]


@pytest.mark.parametrize(
    "app", [submit, status, webhook, batches, openai, anthropic, admin, credentials, files, schedules]
)
@pytest.mark.parametrize(("path", "kind"), [("/openapi.json", "application/json"), ("/docs", "text/html")])
async def test_every_function_serves_the_documents(app, path, kind):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("model", [SubmitRequest, Accepted, Status])
def test_examples_are_valid(model):
    for example in model.model_config["json_schema_extra"]["examples"]:
        model.model_validate(example)
