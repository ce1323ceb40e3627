"""Free text: personal data, never a rule's business, never indexed in clear."""

from typing import Final

import msgspec

from contracts.events import Private

_decode = msgspec.json.Decoder(Private).decode
_encode = msgspec.json.Encoder().encode

NO_TEXT: Final = Private(
    key_id=None, reference=None, description=None, metadata=None, label=None, destination=None, reason=None
)


class FreeText(msgspec.Struct, frozen=True, omit_defaults=True):
    """The free text that comes with a command."""

    reference: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    destination: str | None = None
    label: str | None = None
    reason: str | None = None


def stored_text(private: Private | None) -> bytes | None:
    """Return *private* as a row keeps it."""
    return None if private is None else _encode(private)


def read_text(stored: bytes | None) -> Private | None:
    """Return what `stored_text` made."""
    return None if stored is None else _decode(stored)
