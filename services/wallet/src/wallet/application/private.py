"""How free text is kept: personal data apart from all else, in clear until a key is named."""

from contracts.events import Private
from wallet.domain.texts import FreeText


def private_text(text: FreeText | None) -> Private | None:
    """Return *text* as events and rows carry it, or None if there is none."""
    if text is None:
        return None
    return Private(
        key_id=None,
        reference=text.reference,
        description=text.description,
        metadata=text.metadata,
        label=text.label,
        destination=text.destination,
        reason=text.reason,
    )
