"""Sessions of the dashboard, and the limit on guesses of its passwords."""

import hmac
import secrets
from collections.abc import Mapping
from typing import Literal, cast

import redis.asyncio

from shared import digests
from shared.store import keys
from shared.store.redis import scripts

Role = Literal["admin", "viewer"]
Verifiers = Mapping[Role, bytes]
"""A secret derived from the password of each role that has one."""

# Milliseconds until a session ends: without a request, and in all.
IDLE, LONGEST = 8 * 3_600_000, 7 * 86_400_000
# Different credentials of one address that are compared within a window; the window, ms; addresses that are counted.
GUESSES, WINDOW, ADDRESSES = 5, 60_000, 10_000


def _proof(digest: str, verifier: bytes | None) -> str:
    """Bind a session to a password: neither another password nor write access to the store yields it."""
    return "" if verifier is None else hmac.digest(verifier, f"session {digest}".encode(), "sha256").hex()


async def begin(client: redis.asyncio.Redis, role: Role, verifiers: Verifiers, replaces: str | None = None) -> str:
    """Begin a session and end the one whose token is `replaces`; return its token, which is stored hashed."""
    token = secrets.token_urlsafe(32)
    digest = digests.of_text(token)
    old = digests.of_text(replaces) if replaces else ""
    await scripts.run(
        client, "begin_session", digest=digest, role=role, proof=_proof(digest, verifiers[role]), idle_ms=IDLE,
        total_ms=LONGEST, replaced=old,
    )  # fmt: skip
    return token


async def role_of(client: redis.asyncio.Redis, token: str, verifiers: Verifiers) -> Role | None:
    """Return the role of a session and extend it; None for an unknown token or one of another password."""
    digest = digests.of_text(token)
    admin, viewer = _proof(digest, verifiers.get("admin")), _proof(digest, verifiers.get("viewer"))
    role = await scripts.run(client, "read_session", digest=digest, admin=admin, viewer=viewer, idle_ms=IDLE)
    return cast("Role | None", role)


async def end(client: redis.asyncio.Redis, token: str) -> None:
    """End a session."""
    await client.delete(keys.session(digests.of_text(token)))


async def count_guess(client: redis.asyncio.Redis, address: str, credential: str) -> int:
    """Count a credential before it is compared; return 0, or for how many ms the address is locked."""
    locked: int = await scripts.run(
        client, "count_guess", address=address, credential=credential, allowed=GUESSES, window_ms=WINDOW, most=ADDRESSES
    )
    return locked
