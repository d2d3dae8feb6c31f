"""Handle HEAD as GET without a body."""

from starlette.types import Message, Scope, Send

HEAD_ONLY = "head_only"
"""The key of an ASGI scope whose request was HEAD: a route need not produce a body."""


def as_get(scope: Scope, send: Send) -> tuple[Scope, Send]:
    """Return the scope of the same request with GET, and a `send` that ends the response after its headers.

    For the app this is a disconnection, so that an event stream does not continue.
    """
    ended = False

    async def head_only(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return {**scope, "method": "GET", HEAD_ONLY: True}, head_only
