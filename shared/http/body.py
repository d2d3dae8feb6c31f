"""Request bodies: bounded before they are read, then JSON, then valid, each with its own error."""

import codecs
import json
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from shared.errors import GatewayError, MalformedJson, PayloadTooLarge, UnsupportedMediaType
from shared.http.headers import declared_length, media_type
from shared.http.problems import not_valid

M = TypeVar("M", bound=BaseModel)


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
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return MalformedJson(f"The body cannot be read as JSON{place}")
    [first, *_] = refused.errors(include_url=False, include_input=False)
    if first["type"] == "json_invalid":
        # What json.loads lets pass: half a surrogate pair, which no UTF-8 has, and more than 200 levels.
        return MalformedJson(f"The body cannot be read as JSON: {first['ctx']['error']}")
    return not_valid(refused)


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
