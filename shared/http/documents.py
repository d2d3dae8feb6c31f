"""`/docs` and `/openapi.json`, the same from every function."""

import base64
import hashlib
import json
import re
from functools import cache, lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from shared.http.forwarded import prefix_of
from shared.http.route_table import DOCUMENT

documents = APIRouter()
_PAGE = Path(__file__).parent / "docs.html"


@cache
def _page() -> tuple[str, dict[str, str]]:
    """Return the page and its policy, which allows the page's own style and script by their hashes."""
    page = _PAGE.read_text(encoding="utf-8")

    def hashes(tag: str) -> str:
        parts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in parts
        )

    policy = (
        f"default-src 'none'; style-src {hashes('style')}; script-src {hashes('script')}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, {"Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "same-origin"}


@documents.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """Serve the interactive documentation."""
    page, headers = _page()
    return Response(page, headers=headers, media_type="text/html")


@documents.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Serve the committed OpenAPI document; with a path prefix, `servers` contains the prefix."""
    return Response(_document(prefix_of(request)), media_type="application/json")


@lru_cache(maxsize=4)
def _document(prefix: str) -> bytes:
    """Return the document as one shared object, so that responses that clients do not read hold no copies."""
    committed = DOCUMENT.read_bytes()
    if not prefix:
        return committed
    return json.dumps({**json.loads(committed), "servers": [{"url": prefix}]}, ensure_ascii=False).encode()
