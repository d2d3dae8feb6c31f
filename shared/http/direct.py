"""Routes that FastAPI describes and matches, and that handle the request themselves."""

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request alone and returns a response.

    FastAPI's handling of an endpoint (resolving and closing dependencies) would cost more than these endpoints do.
    Errors go to the app's handlers, as from every route. The models of its answers are for the document alone, so they
    are built for it and not at every start.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._documented = partial(APIRoute, path, endpoint, **options)
        responses: dict[int | str, dict[str, Any]] = options.pop("responses", None) or {}
        without = {
            status: {name: value for name, value in described.items() if name != "model"}
            for status, described in responses.items()
        }
        super().__init__(path, endpoint, **options | {"response_model": None, "responses": without})

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response: Response = await self.endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app

    def documented(self) -> APIRoute:
        """Return the route as FastAPI describes it in its OpenAPI document, with the models of its answers."""
        return self._documented()
