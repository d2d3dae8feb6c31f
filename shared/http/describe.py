"""Pieces of OpenAPI that routes share."""

from typing import Any

from pydantic import BaseModel

from shared.http.problems import MEDIA_TYPE, Problem

_REASONS = {
    400: "The body is not JSON.",
    404: "No such thing, or another caller's.",
    413: "The body is larger than MAX_BODY_BYTES.",
    415: "The body is not declared as JSON.",
    422: "A field is wrong; `errors` names each.",
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
    return described


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
