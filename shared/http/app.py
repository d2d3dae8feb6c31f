"""The one way in which every function makes its FastAPI app and its Lambda handler."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from mangum import Mangum

from shared.http.documents import documents
from shared.http.observe import Observe
from shared.http.problems import install_problems

TITLE = "Claude API Gateway"
VERSION = "0.1.0"


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
    return app


def lambda_handler(
    app: FastAPI, scheduled: Callable[[], Awaitable[Mapping[str, float]]] | None = None
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Wrap an app as a Lambda handler for API Gateway's payload version 2.

    An event of a schedule calls `scheduled`, whose figures become metrics.
    """
    text: Sequence[str] = (
        "text/",
        "application/json",
        "application/problem+json",
        "application/openmetrics-text",
    )
    # "auto" would start and stop the app at each invocation, and problem+json would come back as base64.
    adapter = Mangum(app, lifespan="off", text_mime_types=list(text))
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return adapter
    from shared.http.lambda_telemetry import with_telemetry  # noqa: PLC0415 -- of no use anywhere else

    return with_telemetry(adapter, scheduled)
