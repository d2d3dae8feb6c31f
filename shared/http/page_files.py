"""Files and headers of the gateway's HTML pages: the dashboard and the start page."""

from functools import cache
from pathlib import Path

from fastapi import Response

from shared.api.errors import NotFound

# Styles and scripts that every page uses; each page serves them beside its own, so that all its URLs are relative.
_SHARED = Path(__file__).parent / "pages"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Nothing from elsewhere, nothing inline: what a model wrote could not run even if it were taken for markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def _files(folder: Path) -> dict[str, tuple[bytes, str]]:
    return {
        path.name: (path.read_bytes(), _TYPES[path.suffix]) for place in (_SHARED, folder) for path in place.iterdir()
    }


def page_file(folder: Path, name: str) -> Response:
    """Return a script, a style or an image of the page whose files are in a folder; raises NotFound."""
    found = _files(folder).get(name)
    if found is None:
        raise NotFound("There is no such file")
    return Response(found[0], headers={**PAGE_HEADERS, "Cache-Control": "no-cache"}, media_type=found[1])
