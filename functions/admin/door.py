"""Who may see the dashboard, and who may change things: a login, or Basic credentials of scripts."""

import base64
import binascii
import hmac
import logging

from fastapi import Request

from shared.errors import Forbidden, NotFound, RateLimited, Unauthorized
from shared.http.headers import netloc_of
from shared.logs import event
from shared.settings import AdminSettings, is_loopback, load
from shared.store import sessions
from shared.store.client import async_client

log = logging.getLogger("admin")

COOKIE = "cg_admin"
_SAFE = {"GET", "HEAD"}


def enabled() -> AdminSettings:
    """Return the settings; raises NotFound unless ADMIN_ENABLED."""
    settings: AdminSettings = load(AdminSettings)
    if not settings.admin_enabled:
        raise NotFound("ADMIN_ENABLED is false")
    return settings


async def logged_in(request: Request, settings: AdminSettings) -> sessions.Role | None:
    """Return the role of the login that a request's cookie holds; None without one."""
    token = request.cookies.get(COOKIE)
    return await sessions.role_of(async_client(settings.redis_address), token) if token else None


async def may_see(request: Request) -> sessions.Role:
    """Return the role of whoever asks; raises NotFound, Unauthorized, RateLimited, or Forbidden."""
    settings = enabled()
    if request.method not in _SAFE:
        check_same_site(request)
    role = await logged_in(request, settings) or await _by_basic(request, settings)
    if role is None:
        # A browser would ask with a window of its own, instead of the page.
        challenge = {} if "sec-fetch-site" in request.headers else {"WWW-Authenticate": 'Basic realm="dashboard"'}
        raise Unauthorized("Log in, or send Basic credentials", headers=challenge)
    request.state.role = role
    return role


async def may_change(request: Request) -> None:
    """Let only the admin pass; raises Forbidden for a viewer, and what `may_see` does."""
    if await may_see(request) != "admin":
        raise Forbidden("This login may look and not change")


async def role_for(request: Request, username: str, password: str, settings: AdminSettings) -> sessions.Role | None:
    """Return the role of a name and password, None for wrong ones; raises RateLimited after too many guesses."""
    client = async_client(settings.redis_address)
    address = request.client.host if request.client else "unknown"
    if seconds := await sessions.locked_for(client, address):
        raise RateLimited("Too many wrong passwords", headers={"Retry-After": str(max(1, seconds))})
    # All are compared whatever the first says, so that time tells nothing.
    named = _same(username, settings.admin_username)
    admin = _same(password, settings.admin_password.get_secret_value()) if settings.admin_password else False
    second = settings.admin_viewer_password
    viewer = _same(password, second.get_secret_value()) if second else False
    if named and admin:
        return "admin"
    if named and viewer:
        return "viewer"
    await sessions.guessed_wrong(client, address)
    event(log, "admin_wrong_password", logging.WARNING, address=address)
    return None


def check_same_site(request: Request) -> None:
    """Refuse a change that another site's page asks for; raises Forbidden."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if site not in {"same-origin", "none"} or (origin is not None and netloc_of(origin) != host):
        raise Forbidden("Changes are taken from the dashboard's own pages only")


def cookie_is_secure(request: Request) -> bool:
    """Say whether the cookie goes over TLS only: beyond this machine."""
    return not is_loopback(request.url.hostname or "")


async def _by_basic(request: Request, settings: AdminSettings) -> sessions.Role | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return await role_for(request, username, password, settings)


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), right.encode())
