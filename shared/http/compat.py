"""Errors in the form of the compat APIs (OpenAI, Anthropic), selected by path and headers of the request.

Every function needs them, because an unknown path may reach any function.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel

from shared.api.errors import AnswerFailed, FieldError, GatewayError, InvalidRequest, RefusedParameter, RefusedThread

_OPENAI = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "forbidden"),
    404: ("invalid_request_error", "not_found"),
    413: ("invalid_request_error", "payload_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("server_error", "server_error"),
    502: ("server_error", "server_error"),
    503: ("server_error", "unavailable"),
    504: ("server_error", "timeout"),
}
_ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    402: "billing_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# The code of a failed job → the status of its request; any other code is 502.
_FAILED = {
    "invalid_request": 400,
    "credential_unavailable": 400,
    "session_not_found": 404,
    "billing_error": 402,
    "model_not_found": 404,
    "rate_limited": 429,
    "overloaded": 529,
    "timeout": 504,
}
Writer = Callable[[GatewayError, str | None], Response]


class OpenAIErrorDetail(BaseModel):
    """The error; `param` is the path of the parameter, such as `input[0].content`."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error in the form of OpenAI's API."""

    error: OpenAIErrorDetail


class AnthropicErrorDetail(BaseModel):
    """The error; `message` begins with the path of the invalid parameter, if there is one."""

    type: str
    message: str


class AnthropicError(BaseModel):
    """An error in the form of Anthropic's API."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str | None


def openai_error(error: GatewayError) -> tuple[int, dict[str, Any]]:
    """Return the status and the `error` object of OpenAI's API."""
    # OpenAI's API has one status for all invalid requests, and 503 for an overload.
    status = {415: 400, 422: 400, 529: 503}.get(_status(error), _status(error))
    kind, code = _OPENAI.get(status, ("invalid_request_error", error.code))
    if isinstance(error, AnswerFailed):
        code = error.job_code
    if isinstance(error, RefusedParameter):
        code = error.openai_code
    elif error.code == "budget_exhausted":
        code = "insufficient_quota"
    param = as_path(error.errors[0].pointer) if error.errors else None
    return status, {"message": error.detail or error.title, "type": kind, "param": param or None, "code": code}


def anthropic_error(error: GatewayError) -> tuple[int, dict[str, Any]]:
    """Return the status and the `error` object of Anthropic's API."""
    # Anthropic's API has one status for all invalid requests.
    status = {409: 400, 415: 400, 422: 400}.get(_status(error), _status(error))
    kind = _ANTHROPIC.get(status, "invalid_request_error")
    details = {"details": error.details} if isinstance(error, RefusedThread) else {}
    return status, {"type": kind, "message": error.detail or error.title, **details}


def _status(error: GatewayError) -> int:
    return _FAILED.get(error.job_code, error.status) if isinstance(error, AnswerFailed) else error.status


def as_openai(error: GatewayError, _request_id: str | None = None) -> Response:
    """Write an error in the form of OpenAI's API, whose packages read the request id from `x-request-id`."""
    status, body = openai_error(error)
    return Response(json.dumps({"error": body}), status, error.headers, "application/json")


def as_anthropic(error: GatewayError, request_id: str | None = None) -> Response:
    """Write an error in the form of Anthropic's API, whose packages read the request id from `request-id`."""
    status, inner = anthropic_error(error)
    body = {"type": "error", "error": inner, "request_id": request_id}
    return Response(json.dumps(body), status, error.headers, "application/json")


def writer_for(scope: Mapping[str, Any]) -> Writer | None:
    """Return the function that writes the errors of a request; None for the gateway's own form."""
    path = scope["path"]
    if not path.startswith("/v1/"):
        return None
    # Anthropic's packages send this header with every request, even to paths of OpenAI's API.
    versioned = any(name == b"anthropic-version" for name, _ in scope["headers"])
    return as_anthropic if versioned or f"{path}/".startswith("/v1/messages/") else as_openai


def renamed(error: InvalidRequest, names: Mapping[str, str]) -> InvalidRequest:
    """Return an error of a query as the error of one parameter of OpenAI's API; `names` has our fields' parameters."""
    first = error.errors[0] if error.errors else FieldError("", error.detail)
    name, *inside = first.pointer.removeprefix("/").split("/")
    # `names` may have an item of a list, such as an attachment, with all that is inside it.
    item = names.get(f"{name}/{inside[0]}") if inside else None
    place = "/" + "/".join([names.get(name, name), *inside])
    return RefusedParameter(as_path(place) if item is None else item, first.message, "invalid_value")


def as_path(pointer: str) -> str:
    """Write a pointer such as `/input/0/content` as `input[0].content`; a path is returned unchanged."""
    if not pointer.startswith("/"):
        return pointer
    path = ""
    for part in pointer[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        path += f"[{name}]" if name.isascii() and name.isdecimal() else f".{name}"
    return path.removeprefix(".")
