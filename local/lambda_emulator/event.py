"""Converts HTTP requests to events of payload version 2.0, and the functions' responses to HTTP.

Where AWS's documentation is incomplete, this follows published measurements of the service: paths are decoded, and only
a few content types are passed as text.
"""

import base64
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from local.lambda_emulator.routes import Route

# Any other body, such as a form, is encoded in base64.
_TEXT = {"application/json", "application/javascript", "application/xml"}
# Hop-by-hop headers; cookies have their own field in the event.
_NOT_PASSED_ON = {"connection", "cookie", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose body has been read, and the route that matches it."""

    request: Request
    body: bytes
    route: Route
    parameters: dict[str, str]


def raw_path(request: Request) -> str:
    """Return the path of a request as it was sent, still encoded."""
    sent: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return sent.split(b"?")[0].decode("latin-1")


def to_event(incoming: Incoming) -> dict[str, Any]:
    """Return the event that API Gateway would send for a request."""
    request = incoming.request
    path = unquote(raw_path(request))
    source = request.client.host if request.client else "127.0.0.1"
    headers = _headers(request, incoming.body, source)
    # Not from request.url, where a decoded "#" or "?" in the path would change where the query starts.
    raw_query = request.scope["query_string"].decode("latin-1")
    body, encoded = _body(incoming.body, headers.get("content-type", ""))
    domain = headers.get("host", "localhost")
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": incoming.route.key,
        "rawPath": path,
        "rawQueryString": raw_query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": f"HTTP/{request.scope.get('http_version', '1.1')}",
                "sourceIp": source,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid4()),
            "routeKey": incoming.route.key,
            "stage": "$default",
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": encoded,
    }
    sent_cookies = ";".join(request.headers.getlist("cookie")).split(";")
    # Fields that are omitted when empty.
    optional = {
        "cookies": [cookie.strip() for cookie in sent_cookies if cookie.strip()],
        "queryStringParameters": _joined(parse_qsl(raw_query, keep_blank_values=True)),
        "pathParameters": incoming.parameters,
        "body": body,
    }
    return event | {name: value for name, value in optional.items() if value}


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _headers(request: Request, body: bytes, source: str) -> dict[str, str]:
    """Join repeated headers as API Gateway does, and add the headers about the connection."""
    headers = _joined([(name, value) for name, value in request.headers.items() if name not in _NOT_PASSED_ON])
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {source}" if forwarded else source
    headers["x-forwarded-proto"] = request.scope["scheme"]
    headers["x-forwarded-port"] = str((request.scope.get("server") or ("", 443))[1])
    if body:  # a chunked body has no length yet
        headers["content-length"] = str(len(body))
    return headers


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type in _TEXT:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), bool(body)


def to_response(answer: Any) -> Response:
    """Convert a function's return value to the response that API Gateway would send.

    Without a status code the value is the body of a JSON response with status 200. An invalid value becomes a 500.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(answer if isinstance(answer, str) else json.dumps(answer), media_type="application/json")
    try:
        text = answer.get("body") or ""
        body = base64.b64decode(text, validate=True) if answer.get("isBase64Encoded") else text.encode()
        status = int(answer["statusCode"])
        if not 200 <= status <= 599:
            return gateway_error(500, "Internal Server Error")
        response = Response(body, status)
        for name, value in (answer.get("headers") or {}).items():
            if name.lower() != "content-length":
                response.headers[name] = str(value)
        response.headers.setdefault("content-type", "text/plain; charset=utf-8")
        for cookie in answer.get("cookies") or ():
            response.headers.append("set-cookie", cookie)
    except (AttributeError, TypeError, ValueError):
        return gateway_error(500, "Internal Server Error")
    return response


def gateway_error(status: int, message: str) -> Response:
    """Return an error response of API Gateway itself."""
    return Response(f'{{"message":"{message}"}}', status, media_type="application/json")
