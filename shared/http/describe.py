"""OpenAPI descriptions that routes share."""

import inspect
from typing import Any

from pydantic import BaseModel

from shared.api.errors import (
    BudgetExhausted,
    Forbidden,
    GatewayError,
    IdempotencyMismatch,
    InvalidRequest,
    MalformedJson,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    RateLimited,
    SandboxUnavailable,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    WebhookUrlRefused,
)
from shared.http.problems import MEDIA_TYPE, Problem

ACCEPTED_HEADERS: dict[str, Any] = {
    "Location": {"description": "The URL of the job.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before polling.", "schema": {"type": "integer"}},
}
_DEFAULT_ERRORS: dict[int, type[GatewayError]] = {
    400: MalformedJson,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: InvalidRequest,
    429: RateLimited,
    503: Unavailable,
}
# Errors that only submissions have.
SUBMISSION_ERRORS = (
    IdempotencyMismatch,
    WebhookUrlRefused,
    SandboxUnavailable,
    RateLimited,
    BudgetExhausted,
    QueueFull,
)
# The models of bodies that routes read themselves, so FastAPI does not know them.
BODIES: dict[str, type[BaseModel]] = {}


def all_errors() -> list[type[GatewayError]]:
    """Return the first class of each error code, in the order of declaration."""
    found: dict[str, type[GatewayError]] = {GatewayError.code: GatewayError}
    for error in GatewayError.__subclasses__():
        found.setdefault(error.code, error)
    return list(found.values())


def problems(*errors: int | type[GatewayError]) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route: classes, or statuses that stand for their default classes."""
    classes = [_DEFAULT_ERRORS[error] if isinstance(error, int) else error for error in errors]
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({error.status for error in classes}):
        possible = {error.code: error for error in classes if error.status == status}
        content = {
            "schema": {"$ref": f"#/components/schemas/{Problem.__name__}"},
            "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in possible},
        }
        meanings = (f"`{code}`: {inspect.getdoc(error)}" for code, error in possible.items())
        described[status] = {"description": "\n\n".join(meanings), "content": {MEDIA_TYPE: content}}
        if status in {429, 503}:
            described[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
        if status == 401:
            described[status]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return described


def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a header that the route reads itself."""
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def in_path(name: str, description: str) -> dict[str, Any]:
    """Describe a path parameter that the route reads itself."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """Describe a JSON body that the route reads itself."""
    BODIES[model.__name__] = model
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    extra = model.model_config.get("json_schema_extra")
    examples: Any = extra.get("examples", []) if isinstance(extra, dict) else []
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
