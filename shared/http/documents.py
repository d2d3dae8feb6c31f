"""`/docs` and `/openapi.json`, the same from every function."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from shared.http.route_table import DOCUMENT

documents = APIRouter()
_PAGE = Path(__file__).parent / "docs.html"


@cache
def _page() -> tuple[str, dict[str, str]]:
    """Return the page and its policy: its own style and script by their hashes, and nothing else."""
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


@cache
def _document() -> bytes:
    """Return the document, the same object to all: an answer that nobody reads must not hold a copy."""
    return DOCUMENT.read_bytes()


@documents.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """Serve the interactive documentation."""
    page, headers = _page()
    return Response(page, headers=headers, media_type="text/html")


@documents.get("/openapi.json", include_in_schema=False)
async def openapi() -> Response:
    """Serve the OpenAPI document as it was committed."""
    return Response(_document(), media_type="application/json")
