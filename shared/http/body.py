"""Read request bodies: limit the size, parse JSON, validate; each step has its own error."""

import codecs
import json
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from shared.api.errors import (
    FieldError,
    GatewayError,
    InvalidRequest,
    MalformedJson,
    MalformedRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from shared.http.headers import declared_length, media_type
from shared.http.problems import invalid_fields

M = TypeVar("M", bound=BaseModel)
# The parser's limits, which its errors do not name: digits of an integer, and levels of objects and arrays.
MAX_DIGITS, MAX_DEPTH = 4300, 200
_SHOWN, _POINTER = 100, 1000
_TOO_LONG = object()
# Bodies whose objects are kept, and the bytes of the longest.
_KEPT, _LONGEST_KEPT = 256, 4096


async def read_json(request: Request, model: type[M], *, max_bytes: int, repeats: bool = False) -> M:
    """Read a body of at most `max_bytes` as `model`, an object that may be kept for the same body if that `repeats`.

    Raises UnsupportedMediaType, PayloadTooLarge (before reading the rest), MalformedJson or InvalidRequest.
    """
    if not _is_json(request):
        raise UnsupportedMediaType("Unsupported media type: send the body with Content-Type: application/json")
    text = (await _read(request, max_bytes)).removeprefix(codecs.BOM_UTF8)
    try:
        # Parse and validate in one step; the place of an error is searched for only if there is one.
        if repeats and len(text) <= _LONGEST_KEPT:
            return cast("M", _kept(model, text))
        return model.model_validate_json(text)
    except ValidationError as error:
        raise _error_of(text, error) from None


@lru_cache(_KEPT)
def _kept(model: type[BaseModel], text: bytes) -> BaseModel:
    return model.model_validate_json(text)


async def read_form(request: Request, *, max_bytes: int) -> dict[str, list[str]]:
    """Read the body of a form of a page; raises UnsupportedMediaType, PayloadTooLarge or MalformedRequest."""
    if media_type(request.headers) != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Unsupported media type: send the form with application/x-www-form-urlencoded")
    try:
        return parse_qs((await _read(request, max_bytes)).decode(), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        raise MalformedRequest("Malformed form") from None


def _error_of(text: bytes, refused: ValidationError) -> GatewayError:
    try:
        found = json.loads(text, parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError:
        return _invalid("", f"should not be nested in more than {MAX_DEPTH} levels")
    except ValueError as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return MalformedJson(f"Malformed JSON{place}")
    problems = refused.errors(include_url=False, include_input=False)
    first = problems[0]
    if first["type"] != "json_invalid":
        return invalid_fields(list(problems))
    # Valid JSON beyond the limits of the parser.
    pointer = _place_of(_TOO_LONG, found)
    if pointer is not None:
        return _invalid(pointer, f"should have at most {MAX_DIGITS} digits")
    if "recursion" in first["ctx"]["error"]:
        return _invalid("", f"should not be nested in more than {MAX_DEPTH} levels")
    # json.loads accepts an unpaired surrogate, which UTF-8 cannot encode.
    return MalformedJson(f"Malformed JSON: {first['ctx']['error']}")


def _invalid(pointer: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer.lstrip('/') or 'body'}: {message}", errors=(FieldError(pointer, message),))


def _integer(digits: str) -> object:
    return _TOO_LONG if len(digits) > MAX_DIGITS else 0  # the value is not used, only its place


def _place_of(marker: object, body: Any) -> str | None:
    """Return a JSON Pointer to a marker object in a body; None without it."""
    remaining = [("", body)]
    while remaining:
        pointer, value = remaining.pop()
        if value is marker:
            return pointer
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, part in inner:
            if part is marker or isinstance(part, dict | list):
                remaining.append(
                    (f"{pointer}/{str(name)[:_SHOWN].replace('~', '~0').replace('/', '~1')}"[:_POINTER], part)
                )
    return None


def _is_json(request: Request) -> bool:
    kind = media_type(request.headers)
    if kind == "application/x-www-form-urlencoded":
        # The default of `curl -d`. A browser lets pages of other sites send this type, but adds an Origin.
        return "origin" not in request.headers
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


async def _read(request: Request, max_bytes: int) -> bytes:
    if (declared_length(request.headers) or 0) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size, is_more = 0, True
    # Not `request.stream()`, an asynchronous generator, which takes longer than a body of one message.
    while is_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        is_more = message.get("more_body", False)
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(max_bytes: int) -> PayloadTooLarge:
    detail = f"The body exceeds MAX_BODY_BYTES = {max_bytes} bytes"
    return PayloadTooLarge(detail, headers={"Connection": "close"})
