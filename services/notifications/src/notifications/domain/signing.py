"""Signatures by the Standard Webhooks specification. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from standardwebhooks.webhooks import Webhook


def webhook_id_of(message_id: UUID) -> str:
    """Return the `webhook-id` of a message: it follows from the event alone, whatever is rebuilt or sent again."""
    return f"msg_{message_id}"


def signed_headers(webhook_id: str, body: bytes, *, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """Return the headers that prove *body* was sent by us at *now*: one signature per secret, the newest first."""
    assert secrets, "an endpoint has at least one secret"
    # The library takes the wall-clock figures of any zone for UTC.
    sent_at = now.astimezone(UTC)
    text = body.decode()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, sent_at, text) for secret in secrets),
    }
