"""Who may see the dashboard, and who may change things: a session, or Basic credentials of scripts."""

import logging

from fastapi import Request

from functions.admin import credentials
from functions.admin.same_site import check_same_site
from shared.api.errors import Forbidden, NotFound, RateLimited, Unauthorized
from shared.configuration.settings import AdminSettings, load
from shared.http.forwarded import client_address, client_network
from shared.http.query import refuse_unknown
from shared.logs import event
from shared.store.callers import dashboard_sessions
from shared.store.redis.client import async_client

log = logging.getLogger("admin")

COOKIE = "cg_admin"
_SAFE = {"GET", "HEAD"}


def enabled() -> AdminSettings:
    """Return the settings; raises NotFound unless ADMIN_ENABLED."""
    settings: AdminSettings = load(AdminSettings)
    if not settings.admin_enabled:
        raise NotFound("ADMIN_ENABLED is false")
    return settings


async def logged_in(request: Request, settings: AdminSettings) -> dashboard_sessions.Role | None:
    """Return the role of the session that a request's cookie holds; None without one."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    verifiers = await credentials.verifiers_of(settings)
    return await dashboard_sessions.role_of(async_client(settings.redis_address), token, verifiers)


async def may_see(request: Request) -> dashboard_sessions.Role:
    """Return the role of the client; raises NotFound, Unauthorized, RateLimited, or Forbidden.

    Raises InvalidRequest for a query parameter that the route does not have.
    """
    settings = enabled()
    if request.method not in _SAFE:
        check_same_site(request)
    role = await logged_in(request, settings)
    if role is None and (given := credentials.basic_in(request)) is not None:
        role = await role_for(request, *given, settings)
    if role is None:
        # A browser would ask with a window of its own, instead of the page.
        challenge = {} if "sec-fetch-site" in request.headers else {"WWW-Authenticate": 'Basic realm="dashboard"'}
        raise Unauthorized("Log in, or send Basic credentials", headers=challenge)
    request.state.role = role
    refuse_unknown(request)
    return role


async def may_change(request: Request) -> None:
    """Let only the admin pass; raises Forbidden for a viewer, and what `may_see` does."""
    if await may_see(request) != "admin":
        raise Forbidden("This login may look and not change")


async def role_for(
    request: Request, username: str, password: str, settings: AdminSettings
) -> dashboard_sessions.Role | None:
    """Return the role of a name and password, None for wrong ones; raises RateLimited after too many guesses.

    The guess is counted before it is compared, so that guesses sent at once are compared no more often.
    """
    verifiers = await credentials.verifiers_of(settings)
    digest = credentials.credential_digest(username, password, verifiers)
    locked = await dashboard_sessions.count_guess(async_client(settings.redis_address), client_network(request), digest)
    if locked > 0:
        seconds = -(-locked // 1000)
        raise RateLimited(
            f"This address sent more than {dashboard_sessions.GUESSES} different passwords within a minute. "
            f"Try again in {seconds} s, also with the right one",
            headers={"Retry-After": str(seconds)},
        )
    role = credentials.role_for(username, password, settings)
    if role is None:
        event(log, "admin_wrong_password", logging.WARNING, address=client_address(request))
    return role
