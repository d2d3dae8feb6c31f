"""Authentication and authorization of the dashboard: a session cookie, or Basic credentials of scripts."""

import logging

from fastapi import Request

from functions.admin import credentials
from functions.admin.audit import record
from functions.admin.same_site import check_same_site
from shared.api.errors import Forbidden, NotFound, RateLimited, Unauthorized
from shared.configuration.settings import AdminSettings, load
from shared.http.callers import caller_with
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


async def session_role(request: Request, settings: AdminSettings) -> dashboard_sessions.Role | None:
    """Return the role of the session in a request's cookie; None without a valid session."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    verifiers = await credentials.verifiers_of(settings)
    return await dashboard_sessions.role_of(async_client(settings.redis_address), token, verifiers)


async def require_viewer(request: Request) -> dashboard_sessions.Role:
    """Return the role of the client, which is at least viewer.

    Raises NotFound, Unauthorized, RateLimited or Forbidden, and InvalidRequest for an unknown query parameter.
    """
    settings = enabled()
    if request.method not in _SAFE:
        check_same_site(request)
    role = await session_role(request, settings)
    if role is None and (given := credentials.basic_in(request)) is not None:
        role = await role_for(request, *given, settings)
    request.state.caller = None
    if role is None and (caller := await caller_with("admin-read", request, settings)) is not None:
        role, request.state.caller = "viewer", caller
    if role is None:
        # With a challenge, a browser would show its own login window instead of the page's form.
        challenge = {} if "sec-fetch-site" in request.headers else {"WWW-Authenticate": 'Basic realm="dashboard"'}
        raise Unauthorized("Authentication required: log in, or send Basic credentials", headers=challenge)
    request.state.role = role
    refuse_unknown(request)
    return role


async def require_admin(request: Request) -> None:
    """Raise Forbidden unless the client is the admin; also raises the errors of `require_viewer`."""
    if await require_viewer(request) != "admin":
        raise Forbidden("The viewer role is read-only; log in as the admin")


async def role_for(
    request: Request, username: str, password: str, settings: AdminSettings
) -> dashboard_sessions.Role | None:
    """Return the role for a name and password, None for wrong ones; raises RateLimited after too many guesses.

    The guess is counted before the comparison, so concurrent guesses cannot exceed the limit.
    """
    verifiers = await credentials.verifiers_of(settings)
    digest = credentials.credential_digest(username, password, verifiers)
    locked = await dashboard_sessions.count_guess(async_client(settings.redis_address), client_network(request), digest)
    if locked > 0:
        seconds = -(-locked // 1000)
        raise RateLimited(
            f"Too many login attempts: this address sent more than {dashboard_sessions.GUESSES} different passwords "
            f"within a minute. Try again in {seconds} s, even with the right password",
            headers={"Retry-After": str(seconds)},
        )
    role = credentials.role_for(username, password, settings)
    if role is None:
        event(log, "admin_wrong_password", logging.WARNING, address=client_address(request))
        request.state.role = None
        await record(request, "login_failed", "logins")
    return role


async def begin_session(request: Request, role: dashboard_sessions.Role, settings: AdminSettings) -> str:
    """Begin a session, which replaces the one in the request's cookie; return its token."""
    verifiers = await credentials.verifiers_of(settings)
    return await dashboard_sessions.begin(
        async_client(settings.redis_address), role, verifiers, request.cookies.get(COOKIE)
    )


async def end_session(request: Request, settings: AdminSettings) -> None:
    """End the session in the request's cookie, if there is one."""
    if token := request.cookies.get(COOKIE):
        await dashboard_sessions.end(async_client(settings.redis_address), token)
