"""Refuse unknown query parameters by name."""

from typing import Any

from fastapi import Request
from pydantic import BaseModel

from shared.api.errors import FieldError, InvalidRequest

_MESSAGE = "unknown query parameter"


def refuse_unknown(request: Request) -> None:
    """Raise InvalidRequest if the URL has a query parameter that the route does not have.

    Routes of compat APIs check their parameters themselves.
    """
    if not request.scope["query_string"] or request.scope["path"].startswith("/v1/"):
        return
    known = _parameters_of(request.scope["route"])
    unknown = list(dict.fromkeys(_printable(name) for name in request.query_params if name not in known))
    if unknown:
        accepted = f"this path accepts {', '.join(sorted(known))}" if known else "this path accepts none"
        detail = f"{_MESSAGE} {', '.join(map(repr, unknown[:5]))}: {accepted}"
        fields = (FieldError("/" + name.replace("~", "~0").replace("/", "~1"), _MESSAGE) for name in unknown[:20])
        raise InvalidRequest(detail, errors=tuple(fields))


def _printable(name: str) -> str:
    return name[:100].encode("utf-8", "replace").decode()


def _parameters_of(route: Any) -> set[str]:
    """Return the query parameters of a route: declared ones, and described ones that the route reads itself."""
    described = (route.openapi_extra or {}).get("parameters", ())
    names = {parameter["name"] for parameter in described if parameter["in"] == "query"}
    for field in route.dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            names |= {one.alias or name for name, one in model.model_fields.items()}
        else:
            names.add(field.alias)
    return names
