"""The dashboard's passwords: the secrets derived from them, and the comparison with a client's credentials."""

import asyncio
import base64
import hashlib
import hmac

from fastapi import Request
from pydantic import SecretStr

from shared import digests
from shared.configuration.settings import AdminSettings
from shared.store.callers.dashboard_sessions import Role, Verifiers

# The cost of one guess against a copy of the store: 16 MB of memory and about 50 ms.
_COST, _BLOCK = 1 << 14, 8
_derived: dict[tuple[Role, str, SecretStr], bytes] = {}


async def verifiers_of(settings: AdminSettings) -> Verifiers:
    """Return the secrets derived from the passwords; each process computes them once."""
    passwords: dict[Role, SecretStr | None] = {
        "admin": settings.admin_password,
        "viewer": settings.admin_viewer_password,
    }
    found: dict[Role, bytes] = {}
    for role, password in passwords.items():
        if password is None:
            continue
        source = (role, settings.admin_username, password)
        if source not in _derived:
            _derived[source] = await asyncio.to_thread(_derive, *source)
        found[role] = _derived[source]
    return found


def _derive(role: Role, username: str, password: SecretStr) -> bytes:
    salt = f"claude-gateway dashboard\0{role}\0{username}".encode("utf-8", "surrogateescape")
    return hashlib.scrypt(password.get_secret_value().encode(), salt=salt, n=_COST, r=_BLOCK, p=1, dklen=32)


def credential_digest(username: str, password: str, verifiers: Verifiers) -> str:
    """Return the digest under which a guess is counted; it reveals nothing without the verifier."""
    text = f"{len(username)} {username}{password}".encode("utf-8", "surrogatepass")
    return hmac.digest(verifiers["admin"], text, "sha256")[:16].hex()


def role_for(username: str, password: str, settings: AdminSettings) -> Role | None:
    """Return the role for a name and password, in constant time; None for wrong ones."""
    name_matches = digests.are_equal(username, settings.admin_username)
    first, second = settings.admin_password, settings.admin_viewer_password
    admin = digests.are_equal(password, first.get_secret_value()) if first else False
    viewer = digests.are_equal(password, second.get_secret_value()) if second else False
    if name_matches and admin:
        return "admin"
    return "viewer" if name_matches and viewer else None


def basic_in(request: Request) -> tuple[str, str] | None:
    """Return the name and password of an `Authorization: Basic` header; None without a valid header."""
    scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, separator, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (username, password) if separator else None
