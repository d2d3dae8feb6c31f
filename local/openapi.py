"""Write `shared/http/openapi.json` from the composed app: `python -m local.openapi`."""

import json
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from local.app import app
from shared.api.errors import GatewayError
from shared.api.models import Cached, Status
from shared.http.compat import AnthropicError, OpenAIError
from shared.http.describe import BODIES, all_errors
from shared.http.direct import DirectRoute
from shared.http.problems import Problem, problem_body
from shared.http.route_table import DOCUMENT

# Schemas of errors, which routes write themselves, and two whose examples would lose every null in FastAPI.
_BY_NAME: tuple[type[BaseModel], ...] = (Problem, OpenAIError, AnthropicError, Status, Cached)
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A caller's API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
    "basic": {"type": "http", "scheme": "basic", "description": "ADMIN_USERNAME and a password of the dashboard."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "cg_admin", "description": "Set by POST /admin/login."},
}
# The last entry means no credentials: AUTH_ENABLED is false on loopback, and METRICS_AUTH may be false.
_KEY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}, {}]
# By prefix of the path; the first match counts.
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "/api/downloads/": [],
    "/api/": _KEY,
    "/v1/": _KEY,
    "/metrics": _KEY,
    "/admin/api/": [{"basic": []}, {"cookie": []}],
    "/admin/logout": [{"cookie": []}, {}],
    "/": [],
}
# In the order of importance for a reader.
_TAGS = {
    "queries": "Submit queries; read, follow, list and cancel jobs.",
    "batches": "Submit many queries at once.",
    "files": "Files of a caller, which jobs read and models are shown.",
    "webhooks": "Delivery attempts of a job's webhooks, and redelivery.",
    "credentials": "Secrets of a caller that its jobs use and no response shows.",
    "schedules": "Queries that run at the times of a cron expression.",
    "OpenAI's responses": "OpenAI's Responses API, for its client packages.",
    "OpenAI's chat completions": "OpenAI's Chat Completions API and the models, for its client packages.",
    "Anthropic's messages": "Anthropic's Messages API, for its client packages.",
    "Anthropic's batches": "Anthropic's Message Batches API, for its client packages.",
    "health": "Readiness, liveness and metrics of the deployment.",
    "pages": "HTML pages.",
    "admin": "The dashboard and its API.",
}


def document() -> str:
    """Return the OpenAPI 3.1 document of all routes, in the committed form."""
    described: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        openapi_version="3.1.0",
        routes=[route.documented() if isinstance(route, DirectRoute) else route for route in app.routes],
    )
    names = {(route.path_format, method): route.name for route in app.routes if isinstance(route, APIRoute)
             for method in route.methods or ()}  # fmt: skip
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            _complete(operation, path, names[path, method.upper()])
    components = described.setdefault("components", {})
    components["schemas"] = _schemas(components.get("schemas", {}))
    components["securitySchemes"] = _SECURITY_SCHEMES
    components["examples"] = {error.code: _example(error) for error in all_errors()}
    described["tags"] = [{"name": name, "description": about} for name, about in _TAGS.items()]
    ordered = json.loads(json.dumps(described, sort_keys=True))
    # Paths are in the order of tags and routes, as in the interactive documentation.
    ordered["paths"] = {path: ordered["paths"][path] for path in sorted(described["paths"], key=_rank(described))}
    return json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"


def _rank(described: dict[str, Any]) -> Any:
    tags = list(_TAGS)

    def rank(path: str) -> int:
        return tags.index(next(iter(described["paths"][path].values()))["tags"][0])

    return rank


def _complete(operation: dict[str, Any], path: str, name: str) -> None:
    """Add what FastAPI does not know about an operation, and remove its own form of a 422, which no route returns."""
    # The name of the function; generators of clients use it.
    operation["operationId"] = f"admin_{name}" if path.startswith("/admin/api/") else name
    operation["security"] = next(security for start, security in _SECURITY.items() if path.startswith(start))
    if "application/json" in operation["responses"].get("422", {}).get("content", {}):
        del operation["responses"]["422"]
    for response in operation["responses"].values():
        for content in response.get("content", {}).values():
            # FastAPI's title of a union would become the name of a class.
            content.get("schema", {}).pop("title", None)


def _schemas(found: dict[str, Any]) -> dict[str, Any]:
    for model in (*_BY_NAME, *BODIES.values()):
        schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
        found.update(schema.pop("$defs", {}))
        found[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        found.pop(name, None)
    for schema in found.values():
        for field in schema.get("properties", {}).values():
            _describe_default(field)
    found["Problem"]["properties"]["code"]["enum"] = sorted(error.code for error in all_errors())
    return found


def _describe_default(field: dict[str, Any]) -> None:
    """Move the default of a field into its description.

    TypeScript generators make a field with a default required, even in request bodies, and clients should not have to
    send defaults.
    """
    default = field.pop("default", None)
    if default not in (None, [], {}):
        field["description"] = f"{field.get('description', '')} Default: `{json.dumps(default)}`.".strip()


def _example(error: type[GatewayError]) -> dict[str, Any]:
    return {"summary": error.title, "value": problem_body(error("The cause, and what to do."), "/api/query")}


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
