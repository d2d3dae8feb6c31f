"""Sign webhooks according to the Standard Webhooks specification."""

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook


def headers(webhook_id: str, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a delivery at the present time, with a signature for each secret."""
    # Aware and in UTC; with any other time the library creates invalid signatures.
    now = datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, now, body) for secret in secrets),
    }
