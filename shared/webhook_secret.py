"""Secrets of webhooks in the format of the Standard Webhooks specification."""

import base64
import secrets

PREFIX = "whsec_"


def new_secret() -> str:
    """Return a secret of 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> str:
    """Return a secret unchanged; raises ValueError unless it is `whsec_` and base64 of 24 to 64 bytes."""
    try:
        size = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
    except ValueError:
        size = 0
    if not secret.startswith(PREFIX) or not 24 <= size <= 64:
        raise ValueError("should be whsec_ followed by base64 of 24 to 64 bytes")
    return secret
