"""Static files and headers of the dashboard and the start page."""

from functools import cache
from pathlib import Path

from fastapi import Response

from shared.api.errors import NotFound

# Files that both pages use. Each page serves them beside its own, so that all its URLs are relative.
_SHARED = Path(__file__).parent / "pages"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Nothing from other hosts and nothing inline, so that text of a model cannot run even if it became markup.
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
    """Return a static file of the page whose files are in a folder; raises NotFound."""
    found = _files(folder).get(name)
    if found is None:
        raise NotFound("File not found")
    return Response(found[0], headers={**PAGE_HEADERS, "Cache-Control": "no-cache"}, media_type=found[1])
