"""The dashboard's page, what it is made of, and its login."""

import logging
from functools import cache
from pathlib import Path
from typing import Literal, TypedDict

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ConfigDict, StrictStr

from functions.admin import door, same_site
from functions.admin.credentials import verifiers_of
from shared.api.errors import Unauthorized
from shared.api.models import Wire
from shared.http.body import read_json
from shared.http.describe import problems, takes
from shared.http.forwarded import prefix_of
from shared.http.page_files import PAGE_HEADERS, page_file
from shared.logs import event
from shared.store.callers import dashboard_sessions
from shared.store.redis.client import async_client
from shared.version import VERSION

log = logging.getLogger("admin.audit")

pages = APIRouter(tags=["admin"])
_HERE = Path(__file__).parent


class _CookieOptions(TypedDict):
    path: str
    httponly: bool
    samesite: Literal["strict"]
    secure: bool


class Login(Wire):
    """A name and a password."""

    model_config = ConfigDict(extra="forbid")

    username: StrictStr
    password: StrictStr


@cache
def _page() -> str:
    environment = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("dashboard.html").render(version=VERSION)


@pages.get("/admin", summary="The dashboard", response_class=HTMLResponse, responses=problems(404))
async def dashboard() -> Response:
    """Serve the page; it holds nothing until somebody logs in."""
    door.enabled()
    return HTMLResponse(_page(), headers=PAGE_HEADERS)


@pages.get("/admin/static/{name}", include_in_schema=False)
async def static(name: str) -> Response:
    """Serve a script or a style of the page."""
    door.enabled()
    return page_file(_HERE / "static", name)


@pages.post(
    "/admin/login",
    summary="Log in to the dashboard",
    responses=problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
    openapi_extra=takes(Login),
)
async def login(request: Request) -> JSONResponse:
    """Compare a name and a password, and set the session cookie. A login over plain HTTP needs a loopback host."""
    settings = door.enabled()
    same_site.check_same_site(request)
    same_site.check_cookie_is_kept(request)
    given = await read_json(request, Login, max_bytes=settings.max_body_bytes)
    role = await door.role_for(request, given.username, given.password, settings)
    if role is None:
        raise Unauthorized("The name or the password is wrong")
    answer = JSONResponse({"role": role}, headers=PAGE_HEADERS)
    verifiers = await verifiers_of(settings)
    replaced = request.cookies.get(door.COOKIE)
    token = await dashboard_sessions.begin(async_client(settings.redis_address), role, verifiers, replaced)
    answer.set_cookie(door.COOKIE, token, **_cookie(request))
    event(log, "admin_action", action="login", role=role, request_id=request.state.request_id)
    return answer


@pages.post("/admin/logout", summary="Log out of the dashboard", responses=problems(403, 404, 503))
async def logout(request: Request) -> JSONResponse:
    """End a session; without one there is nothing to do."""
    settings = door.enabled()
    same_site.check_same_site(request)
    if token := request.cookies.get(door.COOKIE):
        await dashboard_sessions.end(async_client(settings.redis_address), token)
    answer = JSONResponse({"role": None}, headers=PAGE_HEADERS)
    answer.delete_cookie(door.COOKIE, **_cookie(request))
    return answer


def _cookie(request: Request) -> _CookieOptions:
    # Without `__Host-`, which wants the path `/`: the cookie is not for the API beside the dashboard.
    return {
        "path": f"{prefix_of(request)}/admin",
        "httponly": True,
        "samesite": "strict",
        "secure": same_site.is_https(request),
    }


@pages.get("/admin/session", include_in_schema=False)
async def session(request: Request) -> JSONResponse:
    """Tell the page who is logged in; nobody is an answer, not an error."""
    settings = door.enabled()
    return JSONResponse({"role": await door.logged_in(request, settings)}, headers=PAGE_HEADERS)
