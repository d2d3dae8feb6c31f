"""The one way in which every function makes its FastAPI app and its Lambda handler."""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from mangum import Mangum
from mangum.handlers import HTTPGateway

from shared.configuration.settings import CommonSettings, ProxySettings, SettingsError, load_all
from shared.http.documents import documents
from shared.http.forwarded import Forwarded
from shared.http.observe import Observe
from shared.http.problems import install_problems
from shared.version import VERSION

TITLE = "Claude API Gateway"


def create_app(*routers: APIRouter, lifespan: Callable[[FastAPI], Any] | None = None) -> FastAPI:
    """Make an app of routers, with the gateway's errors, request ids, log lines and documents."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        summary="Turns the Claude CLI into a service.",
        # Ours are served from the repository, the same by every function, and need nothing from elsewhere.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # It would look at each request whether anybody has set OpenTelemetry up.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for router in (*routers, documents):
        # Not `include_router`, by whose way each request would be matched twice.
        app.router.routes.extend(router.routes)
    install_problems(app)
    app.add_middleware(Observe)
    # Outermost: everything else sees the client as it is behind proxies, and paths without the prefix.
    app.add_middleware(Forwarded)
    return app


class _HttpApi(HTTPGateway):
    """Mangum's adapter for an HTTP API, without its reading of `Host` and `X-Forwarded-Port`.

    It fails on an IPv6 host and on a port that is no number, for a `server` in the scope that nothing here uses.
    """

    @property
    def scope(self) -> MutableMapping[str, Any]:
        given = self.event
        headers = {name: value for name, value in given.get("headers", {}).items() if name.lower() not in _UNREAD}
        self.event = {**given, "headers": headers}
        try:
            scope = super().scope
        finally:
            self.event = given
        host = next((value for name, value in given.get("headers", {}).items() if name.lower() == "host"), None)
        if host is not None:
            scope["headers"].append([b"host", host.encode()])
        return {**scope, "aws.event": given}


_UNREAD = {"host", "x-forwarded-port"}


def lambda_handler(
    app: FastAPI,
    *settings: type[CommonSettings],
    scheduled: Callable[[], Awaitable[Mapping[str, float]]] | None = None,
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Wrap an app as a Lambda handler for API Gateway's payload version 2.

    `settings` are those that the function reads: in Lambda they are checked before the first request. An event of a
    schedule calls `scheduled`, whose figures become metrics.
    """
    text: Sequence[str] = (
        "text/",
        "application/json",
        "application/problem+json",
        "application/openmetrics-text",
        "application/jsonl",
        "application/x-jsonl",
    )
    # "auto" would start and stop the app at each invocation, and problem+json would come back as base64.
    adapter = Mangum(app, lifespan="off", text_mime_types=list(text), custom_handlers=[_HttpApi])
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return adapter
    _check((*settings, ProxySettings))
    from shared.http.lambda_telemetry import with_telemetry  # noqa: PLC0415 -- of no use anywhere else

    return with_telemetry(adapter, scheduled)


def _check(settings: Sequence[type[CommonSettings]]) -> None:
    """End a function's process before its first request, with a line for each setting that cannot be used."""
    try:
        load_all(*settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- before there is a log
        sys.exit(2)
