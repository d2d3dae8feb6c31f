"""Makes `shared/http/openapi.json` from the composed app: `python -m local.openapi`."""

import json
from typing import Any

from fastapi.openapi.utils import get_openapi

from local.app import app
from shared.http.problems import Problem
from shared.http.route_table import DOCUMENT
from shared.models import Cached, Status
from shared.requests import SubmitRequest

# Schemas that routes refer to by name because they read the body, or write the error, themselves; and one from whose
# example FastAPI would leave out every null.
_BY_NAME = (Problem, SubmitRequest, Status, Cached)


def document() -> str:
    """Return the OpenAPI 3.1 document of everything that the gateway serves, as it is committed."""
    described: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, summary=app.summary, openapi_version="3.1.0", routes=app.routes
    )
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for model in _BY_NAME:
        schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    # FastAPI's own form of a 422, which no route here answers with.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    described["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in described["paths"].items():
        for operation in operations.values():
            if path.startswith("/api/"):
                # None of them where AUTH_ENABLED is off, as it is on loopback.
                operation["security"] = [{"bearer": []}, {"apiKey": []}, {}]
            invalid = operation["responses"].get("422", {}).get("content", {}).get("application/json")
            if invalid is not None:
                del operation["responses"]["422"]
    return json.dumps(described, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
