"""Where a request comes from: the dashboard's own pages or another site, over HTTPS or plain HTTP."""

from fastapi import Request

from shared.api.errors import Forbidden
from shared.http.authority import Origin, parse_origin
from shared.http.forwarded import public_origin


def check_same_site(request: Request) -> None:
    """Refuse a change that another site's page asks for; raises Forbidden.

    A browser sets `Sec-Fetch-Site` by the URL that it shows, so the header counts where it is present, whatever a proxy
    does to `Host`. Browsers leave it out over plain HTTP; then `Origin` is compared with the host.
    """
    origin = _origin(request)
    site = ",".join(request.headers.getlist("sec-fetch-site")).strip().lower()
    if site and site not in {"same-origin", "none"}:
        raise Forbidden("Changes are accepted from the dashboard's own pages only")
    if origin is None or site:
        return
    # A proxy may terminate TLS without a word about it: a page over HTTPS is the same host's, and trusted more.
    is_downgrade = origin.scheme == "http" and request.scope["scheme"] == "https"
    if is_downgrade or public_origin(request, origin.scheme) != origin:
        raise Forbidden(
            "Changes are accepted from the dashboard's own pages only: the Origin header differs from the host. Behind "
            "a proxy, pass the Host header on, or list the proxy in TRUSTED_PROXIES and send X-Forwarded-Host"
        )


def is_https(request: Request) -> bool:
    """Say whether the client uses HTTPS: by the connection, by a trusted proxy, or by the page's own origin."""
    origin = _origin(request)
    return request.scope["scheme"] == "https" or (origin is not None and origin.scheme == "https")


def check_cookie_is_kept(request: Request) -> None:
    """Refuse a login whose cookie the browser would drop: over plain HTTP from another machine; raises Forbidden."""
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
        raise Forbidden("Changes are accepted from the dashboard's own pages only: the Origin header names no web page")
    return origin
