"""Build the FastAPI app and the Lambda handler of a function."""

import gc
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from mangum import Mangum
from mangum.handlers import HTTPGateway
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.configuration.settings import CommonSettings, ProxySettings, SettingsError, load_all
from shared.http.documents import documents
from shared.http.forwarded import Forwarded
from shared.http.observe import Observe
from shared.http.problems import install_problems
from shared.http.shortcut import Shortcut
from shared.version import VERSION

TITLE = "Claude API Gateway"


def create_app(*routers: APIRouter, lifespan: Callable[[FastAPI], Any] | None = None) -> FastAPI:
    """Build an app from routers, with the gateway's errors, request ids, log lines and documents."""
    app = _Gateway(
        title=TITLE,
        version=VERSION,
        summary="Turns the Claude CLI into a service.",
        # The gateway serves its own page and document, the same in every function, without files from other hosts.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # Disabled, because it would check for an OpenTelemetry setup at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for router in (*routers, documents):
        # Not `include_router`, which would match each request twice.
        app.router.routes.extend(router.routes)
    install_problems(app)
    return app


class _Gateway(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        # `Forwarded` outermost: everything else sees the client behind the proxies, and paths without the prefix.
        return Forwarded(Observe(Shortcut(self, super().build_middleware_stack())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.router.lifespan(scope, receive, send)
            return
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)


class _HttpApi(HTTPGateway):
    """Mangum's adapter for an HTTP API, without its parsing of `Host` and `X-Forwarded-Port`.

    The parser fails on an IPv6 host and on a port that is not a number, and nothing here uses its result.
    """

    @property
    def scope(self) -> MutableMapping[str, Any]:
        event = self.event
        headers = {name: value for name, value in event.get("headers", {}).items() if name.lower() not in _NOT_PARSED}
        self.event = {**event, "headers": headers}
        try:
            scope = super().scope
        finally:
            self.event = event
        host = next((value for name, value in event.get("headers", {}).items() if name.lower() == "host"), None)
        if host is not None:
            scope["headers"].append([b"host", host.encode()])
        return {**scope, "aws.event": event}


_NOT_PARSED = {"host", "x-forwarded-port"}


def lambda_handler(
    app: FastAPI,
    *settings: type[CommonSettings],
    scheduled: Callable[[], Awaitable[Mapping[str, float]]] | None = None,
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Wrap an app as a Lambda handler for API Gateway's payload version 2.

    `settings` are the classes that the function reads; in Lambda they are checked before the first request. An event
    of a schedule calls `scheduled`, whose values become metrics.
    """
    text: Sequence[str] = (
        "text/",
        "application/json",
        "application/problem+json",
        "application/openmetrics-text",
        "application/jsonl",
        "application/x-jsonl",
    )
    # Lifespan "auto" would start and stop the app at each invocation. Types not listed are encoded as base64.
    adapter = Mangum(app, lifespan="off", text_mime_types=list(text), custom_handlers=[_HttpApi])
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return adapter
    _check((*settings, ProxySettings))
    from shared.http.lambda_telemetry import with_telemetry  # noqa: PLC0415 -- needed in Lambda only

    handler = with_telemetry(adapter, scheduled)
    # What was imported stays: collections need not look at it.
    gc.freeze()
    gc.enable()
    return handler


def _check(settings: Sequence[type[CommonSettings]]) -> None:
    """Exit before the first request, with a line for each invalid setting."""
    try:
        load_all(*settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- logging is not configured yet
        sys.exit(2)
