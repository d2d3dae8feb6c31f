"""Routes that FastAPI describes and matches, and that read the request by themselves."""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from redis.exceptions import RedisError
from starlette.types import Receive, Scope, Send

from shared.errors import GatewayError
from shared.http.problems import store_failed


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request alone and returns a response.

    What FastAPI does around an endpoint, finding out what it wants and closing what it opened, costs more than what
    such an endpoint does itself. Errors go to the app's handlers, as from every route.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await self.answer(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app

    async def answer(self, request: Request) -> Response:
        """Ask the endpoint."""
        response: Response = await self.endpoint(request)
        return response


def door(write: Callable[[GatewayError], Response]) -> type[DirectRoute]:
    """Return the routes of another API's shape, whose errors `write` writes as that API does."""

    class Door(DirectRoute):
        async def answer(self, request: Request) -> Response:
            try:
                return await super().answer(request)
            except GatewayError as error:
                return write(error)
            except RedisError as error:
                return write(store_failed(error))

    return Door
