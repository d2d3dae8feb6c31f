"""The emulator as an ASGI app: converts a request to an event, invokes the function, and converts its response."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from local.lambda_emulator.event import Incoming, gateway_error, raw_path, to_event, to_response
from local.lambda_emulator.function import EventTooLarge, Function, FunctionError
from local.lambda_emulator.routes import Route, read_routes
from shared.configuration.settings import ApiSettings, ProxySettings, load
from shared.http.hosts import Hosts
from shared.logs import configure, event

log = logging.getLogger("lambda")

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
# The limits of an HTTP API: s until the response, bytes of the request body.
LONGEST, REQUEST_LIMIT = 30.0, 10 << 20


class Emulator:
    """Emulates API Gateway and Lambda for one template."""

    def __init__(self, template: Path, longest: float) -> None:
        self._longest = longest
        self._routes = read_routes(template)
        self._functions = {route.function: Function(route.function, route.handler) for route in self._routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request as API Gateway would."""
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return  # there is no client to respond to
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > REQUEST_LIMIT:
                return gateway_error(413, "Request Entity Too Large")
        found = self._match(request.method, raw_path(request))
        if found is None:
            return gateway_error(404, "Not Found")
        route, parameters = found
        try:
            async with asyncio.timeout(self._longest):
                answer = await self._functions[route.function].invoke(
                    to_event(Incoming(request, bytes(body), route, parameters))
                )
        except TimeoutError:
            return gateway_error(503, "Service Unavailable")
        except EventTooLarge:
            return gateway_error(413, "Request Entity Too Large")
        except FunctionError as error:
            event(log, "function_failed", logging.ERROR, function=route.function, reason=str(error))
            return gateway_error(500, "Internal Server Error")
        return to_response(answer)

    def _match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        found = self._first(method, path)
        inner = _without_base_path(path)
        is_own = found is not None and found[0].path is not None
        return found if is_own or inner is None else self._first(method, inner)

    def _first(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        for route in self._routes:
            parameters = route.match(method, path)
            if parameters is not None:
                return route, parameters
        return None

    async def close(self) -> None:
        """Stop all environments of all functions."""
        await asyncio.gather(*(function.close() for function in self._functions.values()))


def _without_base_path(path: str) -> str | None:
    """Return the path without the base path, which API Gateway matches, or None. The event keeps the whole path."""
    base = load(ProxySettings).root_path
    return (path[len(base) :] or "/") if base and f"{path}/".startswith(f"{base}/") else None


def create_emulator(template: Path, *, longest: float = LONGEST) -> Router:
    """Create the ASGI app for a template. A response that takes more than `longest` s is a 503."""
    emulator = Emulator(template, longest)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        configure(load(ApiSettings))
        yield
        await emulator.close()

    # No routes of its own: the template defines all methods and paths.
    return Router(default=Hosts(emulator), lifespan=lifespan)


app = create_emulator(TEMPLATE)
