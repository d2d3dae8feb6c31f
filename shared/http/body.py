"""Request bodies: bounded before they are read, then JSON, then valid, each with its own error."""

import codecs
import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from shared.api.errors import (
    FieldError,
    GatewayError,
    InvalidRequest,
    MalformedJson,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from shared.http.headers import declared_length, media_type
from shared.http.problems import invalid_fields

M = TypeVar("M", bound=BaseModel)
# The parser's own limits, which it does not name: digits of an integer, and levels of objects and arrays.
MAX_DIGITS, MAX_DEPTH = 4300, 200
_SHOWN, _POINTER = 100, 1000
_TOO_LONG = object()


async def read_json(request: Request, model: type[M], *, max_bytes: int) -> M:
    """Read a body of at most `max_bytes` as `model`.

    Raises UnsupportedMediaType, PayloadTooLarge (as soon as it is known), MalformedJson or InvalidRequest.
    """
    if not _is_json(request):
        raise UnsupportedMediaType("Send the body with Content-Type: application/json")
    text = (await _read(request, max_bytes)).removeprefix(codecs.BOM_UTF8)
    try:
        # In one go; what is wrong, and where, is found out only when something is.
        return model.model_validate_json(text)
    except ValidationError as error:
        raise _problem_of(text, error) from None


def _problem_of(text: bytes, refused: ValidationError) -> GatewayError:
    try:
        found = json.loads(text, parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError:
        return _invalid("", f"should not be nested in more than {MAX_DEPTH} levels")
    except ValueError as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return MalformedJson(f"The body cannot be read as JSON{place}")
    problems = refused.errors(include_url=False, include_input=False)
    first = problems[0]
    if first["type"] != "json_invalid":
        return invalid_fields(list(problems))
    # JSON it is, but beyond what is taken.
    pointer = _place_of(_TOO_LONG, found)
    if pointer is not None:
        return _invalid(pointer, f"should have at most {MAX_DIGITS} digits")
    if "recursion" in first["ctx"]["error"]:
        return _invalid("", f"should not be nested in more than {MAX_DEPTH} levels")
    # What json.loads lets pass: half a surrogate pair, which no UTF-8 has.
    return MalformedJson(f"The body cannot be read as JSON: {first['ctx']['error']}")


def _invalid(pointer: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer.lstrip('/') or 'body'}: {message}", errors=(FieldError(pointer, message),))


def _integer(digits: str) -> object:
    return _TOO_LONG if len(digits) > MAX_DIGITS else 0  # only where it stands is of interest


def _place_of(wanted: object, body: Any) -> str | None:
    """Return a JSON Pointer to where a body holds an object of ours; None when it is not there."""
    due = [("", body)]
    while due:
        pointer, value = due.pop()
        if value is wanted:
            return pointer
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, part in inner:
            if part is wanted or isinstance(part, dict | list):
                due.append((f"{pointer}/{str(name)[:_SHOWN].replace('~', '~0').replace('/', '~1')}"[:_POINTER], part))
    return None


def _is_json(request: Request) -> bool:
    kind = media_type(request.headers)
    if kind == "application/x-www-form-urlencoded":
        # What `curl -d` calls everything. A browser lets any page send it here, and then says where it comes from.
        return "origin" not in request.headers
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


async def _read(request: Request, max_bytes: int) -> bytes:
    too_large = PayloadTooLarge(
        f"The body may have MAX_BODY_BYTES = {max_bytes} bytes", headers={"Connection": "close"}
    )
    if (declared_length(request.headers) or 0) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)
