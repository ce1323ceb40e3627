"""The one way in and out for free text: personal data that is kept apart, in clear until a key is named."""

from msgspec import json as msgjson

from contracts.events import Private
from wallet.domain.commands import Details, OpenWallet

_decoder = msgjson.Decoder(Private)
_encode = msgjson.Encoder().encode


def seal(
    *,
    details: Details | None = None,
    label: str | None = None,
    metadata: dict[str, str] | None = None,
    reason: str | None = None,
) -> Private | None:
    """Return the free text as an event carries it, or None where there is none."""
    if details is None and label is None and metadata is None and reason is None:
        return None
    details = details or Details()
    return Private(
        key_id=None,
        reference=details.reference,
        description=details.description,
        metadata=details.metadata if metadata is None else metadata,
        label=label,
        destination=details.destination,
        reason=reason,
    )


def seal_opening(command: OpenWallet) -> Private | None:
    """Return a new wallet's free text."""
    return seal(label=command.label, metadata=command.metadata)


def write_private(private: Private | None) -> bytes | None:
    """Return *private* as it is stored."""
    return None if private is None else _encode(private)


def read_private(stored: bytes | None) -> Private | None:
    """Return what `write_private` stored."""
    return None if stored is None else _decoder.decode(stored)
