"""SHA-256 of texts, and comparison of secrets in constant time."""

import hashlib
import hmac


def of_bytes(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal; a text that is no Unicode has one too."""
    return of_bytes(text.encode("utf-8", "surrogatepass"))


def are_equal(given: str, expected: str) -> bool:
    """Compare two secrets, in a time that depends on neither of them nor on their lengths."""
    return hmac.compare_digest(of_text(given), of_text(expected))
