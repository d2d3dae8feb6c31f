"""The dashboard's page, its static files, and login and logout."""

from functools import cache
from pathlib import Path
from typing import Literal, TypedDict

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ConfigDict, StrictStr

from functions.admin import access, same_site
from functions.admin.audit import record
from shared.api.errors import Unauthorized
from shared.api.models import Wire
from shared.http.body import read_json
from shared.http.describe import problems, takes
from shared.http.forwarded import prefix_of
from shared.http.page_files import PAGE_HEADERS, page_file
from shared.version import VERSION

pages = APIRouter(tags=["admin"])
_HERE = Path(__file__).parent


class _CookieOptions(TypedDict):
    path: str
    httponly: bool
    samesite: Literal["strict"]
    secure: bool


class Login(Wire):
    """The credentials of a login."""

    model_config = ConfigDict(extra="forbid")

    username: StrictStr
    password: StrictStr


@cache
def _page() -> str:
    environment = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("dashboard.html").render(version=VERSION)


@pages.get("/admin", summary="The dashboard", response_class=HTMLResponse, responses=problems(404))
async def dashboard() -> Response:
    """Serve the page. It contains no data before a login."""
    access.enabled()
    return HTMLResponse(_page(), headers=PAGE_HEADERS)


@pages.get("/admin/static/{name}", include_in_schema=False)
async def static(name: str) -> Response:
    """Serve a script or a style sheet of the page."""
    access.enabled()
    return page_file(_HERE / "static", name)


@pages.post(
    "/admin/login",
    summary="Log in to the dashboard",
    responses=problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
    openapi_extra=takes(Login),
)
async def login(request: Request) -> JSONResponse:
    """Check the credentials and set the session cookie. Plain HTTP is accepted on a loopback host only."""
    settings = access.enabled()
    same_site.check_same_site(request)
    same_site.check_cookie_is_kept(request)
    given = await read_json(request, Login, max_bytes=settings.max_body_bytes)
    role = await access.role_for(request, given.username, given.password, settings)
    if role is None:
        raise Unauthorized("Invalid name or password")
    answer = JSONResponse({"role": role}, headers=PAGE_HEADERS)
    token = await access.begin_session(request, role, settings)
    answer.set_cookie(access.COOKIE, token, **_cookie(request))
    request.state.role = role
    await record(request, "login")
    return answer


@pages.post("/admin/logout", summary="Log out of the dashboard", responses=problems(403, 404, 503))
async def logout(request: Request) -> JSONResponse:
    """End the session. Without a session nothing happens."""
    settings = access.enabled()
    same_site.check_same_site(request)
    request.state.role = await access.session_role(request, settings)
    await access.end_session(request, settings)
    if request.state.role is not None:
        await record(request, "logout")
    answer = JSONResponse({"role": None}, headers=PAGE_HEADERS)
    answer.delete_cookie(access.COOKIE, **_cookie(request))
    return answer


def _cookie(request: Request) -> _CookieOptions:
    # No `__Host-` prefix: it requires the path `/`, and the API beside the dashboard must not get the cookie.
    return {
        "path": f"{prefix_of(request)}/admin",
        "httponly": True,
        "samesite": "strict",
        "secure": same_site.is_https(request),
    }


@pages.get("/admin/session", include_in_schema=False)
async def session(request: Request) -> JSONResponse:
    """Return the role of the session; null without a session, which is not an error."""
    settings = access.enabled()
    return JSONResponse({"role": await access.session_role(request, settings)}, headers=PAGE_HEADERS)
