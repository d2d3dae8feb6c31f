"""The client address, scheme, host and path prefix of a request, from the client's point of view.

Only a peer in TRUSTED_PROXIES may set them, with `X-Forwarded-For`, `-Proto` and `-Host`. A malformed value is ignored.
`Forwarded` (RFC 7239) is not read: a proxy that sets only the other headers passes a client's own value through.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.configuration.settings import ProxySettings, load
from shared.egress.targets import Network
from shared.http.authority import Origin, parse_host
from shared.http.route_table import is_route

_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+")


class Forwarded:
    """Puts the client's view of a request into its ASGI scope and removes the path prefix.

    `client` and `scheme` are replaced in place; `state` gets `prefix` and, from a trusted proxy, `host`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            settings = load(ProxySettings)
            scope.setdefault("state", {})
            if settings.trusted_proxies:
                _resolve(scope, settings.trusted_proxies)
            _remove_prefix(scope, settings.root_path)
        await self.app(scope, receive, send)


def prefix_of(request: Request) -> str:
    """Return the path prefix of the public URL, such as `/gateway`; empty without one."""
    prefix: str = request.scope.get("state", {}).get("prefix", "")
    return prefix


def public_origin(request: Request, scheme: str) -> Origin | None:
    """Return the origin that the client addressed, under a scheme; None for a malformed host."""
    host = request.scope.get("state", {}).get("host") or ",".join(request.headers.getlist("host"))
    return parse_host(host, scheme)


def client_address(request: Request) -> str:
    """Return the address of the client as text; `unknown` where the server does not know it."""
    return request.client.host if request.client else "unknown"


def client_network(request: Request) -> str:
    """Return the address of the client for a limit; for IPv6 the /64, within which a client may choose any address."""
    text = client_address(request)
    address = _address(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return "unknown" if address is None else str(address)


def _resolve(scope: Scope, trusted: Sequence[Network]) -> None:
    def is_trusted(address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in trusted)

    client = _address((scope.get("client") or ("",))[0] or "")
    if client is None or not is_trusted(client):
        return
    hops = _values(scope, b"x-forwarded-for")
    index = len(hops)
    # Each proxy appends its peer, so the last entry that is not a trusted proxy is the client. Earlier entries are
    # the client's own text.
    while index > 0 and is_trusted(client) and (hop := _address(hops[index - 1])) is not None:
        client, index = hop, index - 1
    scope["client"] = (str(client), 0)
    scheme = _at(_values(scope, b"x-forwarded-proto"), index, len(hops)).lower()
    if scheme in {"http", "https"}:
        scope["scheme"] = scheme
    host = _at(_values(scope, b"x-forwarded-host"), index, len(hops))
    if parse_host(host, scope["scheme"]) is not None:
        scope["state"]["host"] = host


def _at(values: list[str], index: int, hops: int) -> str:
    """Return the value of the client's hop if each proxy appended one, otherwise the value of the nearest proxy."""
    if not values:
        return ""
    return values[index] if len(values) == hops and index < hops else values[-1]


def _values(scope: Scope, name: bytes) -> list[str]:
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [part.strip() for part in ",".join(lines).split(",")] if lines else []


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip('"')
    if found := _WITH_PORT.fullmatch(text):
        text = found["v6"] or found["v4"]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # Without the zone, which the client could vary.
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _remove_prefix(scope: Scope, root_path: str | None) -> None:
    path, prefix = scope["path"], root_path
    if prefix is None:
        # API Gateway includes the name of the stage in the path.
        stage = scope.get("aws.event", {}).get("requestContext", {}).get("stage") or "$default"
        named = stage != "$default" and f"{path}/".startswith(f"/{stage}/")
        prefix = f"/{stage}" if named else ""
    scope["state"]["prefix"] = prefix
    # A proxy may have removed the prefix, and the rest may begin with the same text (ROOT_PATH=/api).
    if prefix and f"{path}/".startswith(f"{prefix}/") and not is_route(path):
        scope["path"] = path[len(prefix) :] or "/"
