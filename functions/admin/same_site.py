"""Checks of a request's origin: same site or another site, HTTPS or plain HTTP."""

from fastapi import Request

from shared.api.errors import Forbidden
from shared.http.authority import Origin, parse_origin
from shared.http.forwarded import public_origin


def check_same_site(request: Request) -> None:
    """Raise Forbidden for a change that a page of another site requests.

    A browser sets `Sec-Fetch-Site` from the URL that it shows, so the header decides when it is present, even if a
    proxy changes `Host`. Browsers omit it over plain HTTP; then `Origin` must equal the host.
    """
    origin = _origin(request)
    site = ",".join(request.headers.getlist("sec-fetch-site")).strip().lower()
    if site and site not in {"same-origin", "none"}:
        raise Forbidden("Changes are accepted from the dashboard's own pages only")
    if origin is None or site:
        return
    # A proxy may terminate TLS and not report it, so an HTTPS origin of the same host is accepted on HTTP.
    is_downgrade = origin.scheme == "http" and request.scope["scheme"] == "https"
    if is_downgrade or public_origin(request, origin.scheme) != origin:
        raise Forbidden(
            "Changes are accepted from the dashboard's own pages only: the Origin header differs from the host. Behind "
            "a proxy, forward the Host header, or list the proxy in TRUSTED_PROXIES and send X-Forwarded-Host"
        )


def is_https(request: Request) -> bool:
    """Return whether the client uses HTTPS, according to the connection, a trusted proxy or the page's origin."""
    origin = _origin(request)
    return request.scope["scheme"] == "https" or (origin is not None and origin.scheme == "https")


def check_cookie_is_kept(request: Request) -> None:
    """Raise Forbidden when the browser would drop the session cookie: plain HTTP from another machine."""
    host = public_origin(request, "http")
    if not is_https(request) and not (host is not None and host.is_loopback):
        raise Forbidden(
            "A login needs HTTPS, because a browser drops the session cookie over plain HTTP. Open the dashboard over "
            "HTTPS. Behind a proxy that terminates TLS, list the proxy in TRUSTED_PROXIES and send X-Forwarded-Proto"
        )


def _origin(request: Request) -> Origin | None:
    text = ",".join(request.headers.getlist("origin"))
    if not text:
        return None
    origin = parse_origin(text)
    if origin is None:
        raise Forbidden(
            "Changes are accepted from the dashboard's own pages only: the Origin header is not a web origin"
        )
    return origin
