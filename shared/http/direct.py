"""Routes that FastAPI describes and matches, and that handle the request themselves."""

from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request alone and returns a response.

    FastAPI's handling of an endpoint (resolving and closing dependencies) would cost more than these endpoints do.
    Errors go to the app's handlers, as from every route.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response: Response = await self.endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app
