"""The emulator as an ASGI app: a request in, an event to the function that the template names, its answer out."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from local.lambda_emulator.event import Incoming, gateway_error, to_event, to_response
from local.lambda_emulator.function import Function, FunctionError
from local.lambda_emulator.routes import Route, read_routes
from shared.logs import configure, event
from shared.settings import ApiSettings, load

log = logging.getLogger("lambda")

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# The limits of an HTTP API: s, bytes of a request, bytes of an answer.
_LONGEST, _REQUEST_LIMIT, _ANSWER_LIMIT = 30.0, 10 << 20, 6 << 20


class Emulator:
    """API Gateway and Lambda for one template."""

    def __init__(self, template: Path) -> None:
        self._routes = read_routes(template)
        self._functions = {route.function: Function(route.function, route.handler) for route in self._routes}

    async def answer(self, request: Request) -> Response:
        """Answer one request as API Gateway would."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _REQUEST_LIMIT:
                return gateway_error(413, "Request Entity Too Large")
        raw_path = request.scope.get("raw_path", b"").split(b"?")[0].decode("latin-1")
        found = self._match(request.method, raw_path or request.url.path)
        if found is None:
            return gateway_error(404, "Not Found")
        route, parameters = found
        incoming = Incoming(request, bytes(body), route, parameters)
        try:
            async with asyncio.timeout(_LONGEST):
                answer = await self._functions[route.function].invoke(to_event(incoming))
        except TimeoutError:
            return gateway_error(503, "Service Unavailable")
        except FunctionError as error:
            event(log, "function_failed", logging.ERROR, function=route.function, reason=str(error))
            return gateway_error(500, "Internal Server Error")
        response = to_response(answer)
        if len(response.body) > _ANSWER_LIMIT:
            return gateway_error(500, "Internal Server Error")
        return response

    def _match(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        for route in self._routes:
            parameters = route.match(method, raw_path)
            if parameters is not None:
                return route, parameters
        return None

    async def close(self) -> None:
        """End every environment of every function."""
        await asyncio.gather(*(function.close() for function in self._functions.values()))


def create_emulator(template: Path) -> Starlette:
    """Make the ASGI app for a template."""
    emulator = Emulator(template)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        configure(load(ApiSettings))
        yield
        await emulator.close()

    return Starlette(routes=[StarletteRoute("/{path:path}", emulator.answer, methods=_METHODS)], lifespan=lifespan)


app = create_emulator(TEMPLATE)
