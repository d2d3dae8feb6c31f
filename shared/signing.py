"""Signatures of webhooks, by the Standard Webhooks specification."""

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook


def headers(webhook_id: str, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a delivery that is made now, with a signature by each secret."""
    # Aware and in UTC: the library signs any other time so that nobody can verify it.
    now = datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, now, body) for secret in secrets),
    }
