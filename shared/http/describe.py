"""Pieces of OpenAPI that routes share."""

from typing import Any

from pydantic import BaseModel

from shared.http.problems import MEDIA_TYPE, Problem

ACCEPTED_HEADERS: dict[str, Any] = {
    "Location": {"description": "Where the job is.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until a look is worth while.", "schema": {"type": "integer"}},
}
_REASONS = {
    400: "The body is not JSON.",
    401: "No key, or one that is not known.",
    403: "The caller may not have what it asks for.",
    404: "No such thing, or another caller's.",
    409: "The job has ended.",
    413: "The body is larger than MAX_BODY_BYTES.",
    415: "The body is not declared as JSON.",
    422: "A field is wrong; `errors` names each.",
    429: "RATE_LIMIT is reached; `Retry-After` says when to go on.",
    503: "The queue is full, or the store is away; `Retry-After` says when to try again.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors that a route answers with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        described[status] = {"description": _REASONS[status], "content": content}
        if status in {429, 503}:
            described[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
        if status == 401:
            described[status]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return described


def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a header that the route reads by itself."""
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def in_path(name: str, description: str) -> dict[str, Any]:
    """Describe a part of the path that the route reads by itself."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """Describe a JSON body that the route reads by itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    examples = model.model_json_schema().get("examples", [])
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": schema,
                    "examples": {f"example{index}": {"value": value} for index, value in enumerate(examples, 1)},
                }
            },
        }
    }
