"""The start page: a form for a query, its answer as a stream, and links."""

from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from shared.configuration.settings import StatusSettings, load
from shared.http.forwarded import prefix_of
from shared.http.page_files import PAGE_HEADERS, page_file
from shared.version import VERSION

start = APIRouter(tags=["pages"])
_HERE = Path(__file__).parent


@lru_cache(maxsize=8)
def _page(prefix: str, *, auth: bool, admin: bool, metrics: bool) -> str:
    def hidden_unless(shown: bool) -> str:
        return "" if shown else "hidden"

    # With a prefix the base URL is needed, because the page is also served at the prefix without a final slash.
    return Template((_HERE / "templates/start.html").read_text(encoding="utf-8")).substitute(
        base=escape(f"{prefix}/") if prefix else "",
        version=VERSION,
        key=hidden_unless(auth),
        nokey=hidden_unless(not auth),
        admin=hidden_unless(admin),
        metrics=hidden_unless(metrics),
    )


@start.get("/", summary="The start page", response_class=HTMLResponse)
async def page(request: Request) -> Response:
    """Serve the start page. It contains no data; its script calls the API with the caller's key."""
    settings = load(StatusSettings)
    shown = _page(
        prefix_of(request), auth=settings.auth, admin=settings.admin_enabled, metrics=settings.metrics_enabled
    )
    return HTMLResponse(shown, headers=PAGE_HEADERS)


@start.get("/start/{name}", include_in_schema=False)
async def static(name: str) -> Response:
    """Serve a script, a style sheet or an image of the start page."""
    return page_file(_HERE / "static", name)
