"""Check the host of requests while AUTH_ENABLED is false, against DNS rebinding.

A page of another site can resolve its own name to 127.0.0.1 and then read responses as its own. The browser still sends
that name as Host, so without keys the gateway serves only names that cannot belong to another site.
"""

import os
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.api.errors import Forbidden
from shared.configuration.settings import CommonSettings, load
from shared.http.headers import host_of
from shared.http.problems import refusal

# Load balancers and orchestrators check liveness by address; the response contains no data.
_EXEMPT = "/health/live"
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def refused(scope: Scope, settings: CommonSettings) -> Response | None:
    """Return the refusal of a request for another host while AUTH_ENABLED is false; None if the host is served.

    Not checked in Lambda, because API Gateway serves its own names only.
    """
    if settings.auth or _is_served(scope, settings.allowed_hosts):
        return None
    error = Forbidden(
        "Host not allowed: without AUTH_ENABLED the gateway serves only loopback hosts and ALLOWED_HOSTS. Use one of "
        "them as Host, or add this host to ALLOWED_HOSTS"
    )
    return refusal(error, scope)


class Hosts:
    """ASGI middleware that refuses requests for other hosts; for apps without `Observe`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        refusing = refused(scope, load(CommonSettings)) if scope["type"] == "http" else None
        await (refusing or self.app)(scope, receive, send)


def _is_served(scope: Scope, allowed: tuple[str, ...]) -> bool:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) == 1 and _is_allowed(hosts[0], allowed):
        return True
    return scope["path"] == _EXEMPT or "AWS_LAMBDA_FUNCTION_NAME" in os.environ


@lru_cache(1024)
def _is_allowed(value: bytes, allowed: tuple[str, ...]) -> bool:
    host = host_of(value.decode("latin-1"))
    if host is None:
        return False
    if host == "localhost" or host in allowed:
        return True
    if any(entry.startswith("*.") and host.endswith(entry[1:]) for entry in allowed):
        return True
    address = _address(host)
    return address is not None and any(address in network for network in _LOOPBACK)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
