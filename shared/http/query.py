"""Query parameters that a route does not have are refused by name."""

from typing import Any

from fastapi import Request

from shared.api.errors import FieldError, InvalidRequest

_MESSAGE = "unknown query parameter"


def refuse_unknown(request: Request) -> None:
    """Raise InvalidRequest when the URL has a query parameter that the request's route does not have.

    Routes in another API's shape decide by themselves.
    """
    if not request.scope["query_string"] or request.scope["path"].startswith("/v1/"):
        return
    known = _known_to(request.scope["route"])
    unknown = list(dict.fromkeys(_printable(name) for name in request.query_params if name not in known))
    if unknown:
        takes = f"this path takes {', '.join(sorted(known))}" if known else "this path takes none"
        detail = f"{_MESSAGE} {', '.join(map(repr, unknown[:5]))}: {takes}"
        fields = (FieldError("/" + name.replace("~", "~0").replace("/", "~1"), _MESSAGE) for name in unknown[:20])
        raise InvalidRequest(detail, errors=tuple(fields))


def _printable(name: str) -> str:
    return name[:100].encode("utf-8", "replace").decode()


def _known_to(route: Any) -> set[str]:
    """Return the query parameters that a route declares, or describes because it reads them by itself."""
    described = (route.openapi_extra or {}).get("parameters", ())
    return {field.alias for field in route.dependant.query_params} | {
        parameter["name"] for parameter in described if parameter["in"] == "query"
    }
