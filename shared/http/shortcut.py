"""The short way to a direct route: past the layers that FastAPI puts before a route, which a direct route does not use.

FastAPI documents, validates and tests the same route objects, and serves every other request.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import cast

from fastapi import FastAPI, Request, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.http.direct import DirectRoute

Handler = Callable[[Request, Exception], Awaitable[Response]]


class Shortcut:
    """Serves the requests of direct routes itself, and gives all others to `whole`, FastAPI's own stack."""

    def __init__(self, app: FastAPI, whole: ASGIApp) -> None:
        self._app, self._whole = app, whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        route = None if scope.get("root_path") else self._table.find(scope)
        if route is None:
            await self._whole(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        failure: Exception | None = None
        try:
            response: Response = await route.endpoint(request)
        except Exception as error:  # noqa: BLE001 -- every error has its handler
            response, failure = await self._answer(request, error)
        await response(scope, receive, send)
        if failure is not None:
            raise failure

    @cached_property
    def _table(self) -> "Table":
        # At the first request: every route has been added by then.
        return Table(self._app.router.routes)

    async def _answer(self, request: Request, error: Exception) -> tuple[Response, Exception | None]:
        """Return the response to an error, and the error again if it is to reach the server's log."""
        handlers = cast("Mapping[type[BaseException], Handler]", self._app.exception_handlers)
        kind = next(kind for kind in type(error).__mro__ if kind in handlers)
        return await handlers[kind](request, error), error if kind is Exception else None


class Table:
    """Finds the route that FastAPI's router would find, without trying each."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._fixed: dict[tuple[str, str], Route] = {}
        # By method and number of segments: a parameter is one segment. In the order of the routes.
        self._by_length: dict[tuple[str, int], list[Route]] = defaultdict(list)
        for route in routes:
            # The gateway mounts nothing. A route whose parameter may contain a slash has no length: FastAPI serves it.
            if isinstance(route, Route) and ":path}" not in route.path:
                for method in route.methods or ():
                    self._by_length[method, route.path.count("/")].append(route)
                    if "{" not in route.path:
                        self._fixed.setdefault((method, route.path), route)

    def find(self, scope: Scope) -> DirectRoute | None:
        """Return the direct route of a request, and put its parameters into the scope; None for any other route."""
        method, path = scope["method"], scope["path"]
        route = self._fixed.get((method, path))
        if route is not None:
            scope["path_params"] = {}
            return route if isinstance(route, DirectRoute) else None
        for route in self._by_length.get((method, path.count("/")), ()):
            # As `matches` of the route does, which takes longer.
            if (found := route.path_regex.match(path)) is None:
                continue
            if not isinstance(route, DirectRoute):
                return None
            convertors = route.param_convertors
            scope["path_params"] = {name: convertors[name].convert(text) for name, text in found.groupdict().items()}
            return route
        return None
