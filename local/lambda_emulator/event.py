"""HTTP requests as events of payload version 2.0, and a function's answers as HTTP."""

import base64
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from local.lambda_emulator.routes import Route

_TEXT = ("text/", "application/json", "application/javascript", "application/xml", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose body has been read, and the route that takes it."""

    request: Request
    body: bytes
    route: Route
    parameters: dict[str, str]


def to_event(incoming: Incoming) -> dict[str, Any]:
    """Return the event that API Gateway would send for a request."""
    request = incoming.request
    raw_path = request.scope.get("raw_path", b"").split(b"?")[0].decode("latin-1") or request.url.path
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if name != "cookie":
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.url.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    body, encoded = _body(incoming.body, headers.get("content-type", ""))
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": incoming.route.key,
        "rawPath": raw_path,
        "rawQueryString": request.url.query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": request.headers.get("host", "localhost"),
            "domainPrefix": "local",
            "http": {
                "method": request.method,
                "path": raw_path,
                "protocol": f"HTTP/{request.scope.get('http_version', '1.1')}",
                "sourceIp": request.client.host if request.client else "127.0.0.1",
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
    # Each of these is left out when there is none of it.
    optional = {
        "cookies": [part.strip() for part in request.headers.get("cookie", "").split(";") if part.strip()],
        "queryStringParameters": query,
        "pathParameters": incoming.parameters,
        "body": body,
    }
    return event | {name: value for name, value in optional.items() if value}


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    if content_type.startswith(_TEXT):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return (base64.b64encode(body).decode(), True) if body else ("", False)


def to_response(answer: Any) -> Response:
    """Return what API Gateway would answer for what a function returned; it infers what is not a response."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(answer if isinstance(answer, str) else str(answer), media_type="application/json")
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    response = Response(body, int(answer["statusCode"]))
    for name, value in (answer.get("headers") or {}).items():
        if name.lower() != "content-length":
            response.headers[name] = value
    for cookie in answer.get("cookies") or ():
        response.headers.append("set-cookie", cookie)
    return response


def gateway_error(status: int, message: str) -> Response:
    """Return an answer of API Gateway's own."""
    return Response(f'{{"message":"{message}"}}', status, media_type="application/json")
