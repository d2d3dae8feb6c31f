"""Errors as RFC 9457 problem+json."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shared.api.errors import FieldError, GatewayError, InvalidRequest, Unavailable
from shared.configuration.settings import CommonSettings, load
from shared.http.compat import writer_for
from shared.http.route_table import unrouted
from shared.store.redis import failures

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# Limits of what an error repeats of a request: characters of a field name, and number of errors.
_SHOWN, MAX_ERRORS = 100, 100


class ProblemField(BaseModel):
    """The error of one field."""

    pointer: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457); `code` is its stable name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Invalid request",
                    "status": 422,
                    "detail": "priority: Input should be 'high', 'normal' or 'low'",
                    "instance": "/api/query",
                    "code": "invalid_request",
                    "errors": [{"pointer": "/priority", "message": "Input should be 'high', 'normal' or 'low'"}],
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[ProblemField]


def problem_body(error: GatewayError, path: str) -> dict[str, Any]:
    """Return the members of the error of a request for `path`."""
    return {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": path,
        "code": error.code,
        "errors": [{"pointer": field.pointer, "message": field.message} for field in error.errors],
    }


def problem_response(error: GatewayError, path: str) -> Response:
    """Write an error as the response to a request for `path`."""
    # ASCII, so that a path with an unpaired surrogate can be written.
    return Response(json.dumps(problem_body(error, path)).encode(), error.status, error.headers, MEDIA_TYPE)


def refusal(error: GatewayError, scope: Mapping[str, Any]) -> Response:
    """Write an error in the form of the API to which the request of an ASGI scope belongs."""
    state = scope.get("state", {})
    if write := writer_for(scope):
        return write(error, state.get("request_id"))
    return problem_response(error, state.get("prefix", "") + scope["path"])


def invalid_fields(problems: list[Any]) -> InvalidRequest:
    """Turn the errors of pydantic into one error with an entry for each field; values are never repeated."""
    fields = []
    for problem in problems[:MAX_ERRORS]:
        names = (str(part)[:_SHOWN].replace("~", "~0").replace("/", "~1") for part in problem["loc"])
        pointer = "".join("/" + name for name in names)
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"unknown field {str(problem['loc'][-1])[:100]!r}"
        fields.append(FieldError(pointer.encode("utf-8", "replace").decode(), message))
    detail = "; ".join(f"{field.pointer.lstrip('/') or 'body'}: {field.message}" for field in fields[:5])
    if len(problems) > MAX_ERRORS:
        detail += f"; and {len(problems) - MAX_ERRORS} more errors, of which {MAX_ERRORS} are listed"
    return InvalidRequest(detail, errors=tuple(fields))


def invalid_request(error: ValidationError) -> InvalidRequest:
    """Return the error of a body that does not conform to its model."""
    return invalid_fields(list(error.errors(include_url=False, include_input=False)))


def store_failed(error: Exception) -> GatewayError:
    """Log a failure of the store and return its error: 503 with the reason, or 500 if the command was invalid."""
    failure = failures.report(load(CommonSettings).redis_address, error)
    if failure is None:
        log.error("store_request_failed", exc_info=error)
        return GatewayError("The error is in the log of the gateway")
    return Unavailable(failure.detail, title=failure.title, headers={"Retry-After": str(failure.retry_after)})


def install_problems(app: FastAPI) -> None:
    """Handle every error of an app, as problem+json or in the form of a compat API."""

    def answer(request: Request, error: GatewayError) -> Response:
        return refusal(error, request.scope)

    async def on_gateway_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)  # noqa: S101 -- registered for this class alone
        return answer(request, error)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 -- as above
        # Without the first part, "query" or "path": the pointer names the parameter only.
        found = [{**item, "loc": item["loc"][1:]} for item in error.errors()]
        return answer(request, invalid_fields(found))

    async def on_unrouted(request: Request, _error: Exception) -> Response:
        return answer(request, unrouted(request.method, request.scope["path"]))

    async def on_redis(request: Request, error: Exception) -> Response:
        return answer(request, store_failed(error))

    async def on_disconnect(_request: Request, _error: Exception) -> Response:
        # No client reads this. nginx logs the same status.
        return Response(status_code=499)

    async def on_unexpected(request: Request, _error: Exception) -> Response:
        # The error is raised again after this response, so that the server logs it.
        return answer(request, GatewayError("The error is in the log of the gateway"))

    app.add_exception_handler(GatewayError, on_gateway_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_unrouted)
    app.add_exception_handler(RedisError, on_redis)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(Exception, on_unexpected)
