"""Security headers of every response."""

# Not cached unless a response has its own Cache-Control, because most responses contain a caller's data.
_DEFAULTS = {b"x-content-type-options": b"nosniff", b"cache-control": b"no-store", b"referrer-policy": b"no-referrer"}
_ALL = list(_DEFAULTS.items())


def missing(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that a response lacks; names are in lower case, as in Starlette."""
    for name, _ in headers:
        if name in _DEFAULTS:
            names = dict(headers)
            return [field for field in _ALL if field[0] not in names]
    return _ALL


def request_id_headers(path: str, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the headers with the request id. OpenAI's packages read the first, Anthropic's the second."""
    value = request_id.encode()
    return [(b"x-request-id", value), (b"request-id", value)] if path.startswith("/v1/") else [(b"x-request-id", value)]
