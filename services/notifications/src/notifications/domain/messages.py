"""What a webhook says. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from contracts.envelope import Envelope, rfc3339
from contracts.events import EVENT_TYPES

TEST_TYPE: Final = "webhook.test"
SUBSCRIBABLE: Final = frozenset(name for name in EVENT_TYPES if name.startswith("wallet."))
"""What an endpoint may ask for: what happens to wallets. Policies, owners' tiers and system accounts' entries are the
ledger's own business."""

_encode: Final = msgspec.json.Encoder().encode
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The members of a body, each as it stands: what is in them was parsed before, and is passed on."""


def body_of(event: Envelope) -> bytes:
    """Return the message that tells *event*: its data, with the ids that place it in the stream."""
    data: dict[str, Any] = _members(event.data)
    place = {
        "event_id": str(event.event_id),
        "wallet_id": str(event.subject),
        "version": event.wallet_version,
        "shard": event.shard,
        "sequence": event.sequence,
        "transaction_id": None if event.transaction_id is None else str(event.transaction_id),
    }
    return _message(event.type, event.time, data | place)


def time_of(body: bytes) -> datetime:
    """Return when what *body* tells has happened."""
    return _stamped(body).timestamp


def test_body(endpoint_id: UUID, at: datetime) -> bytes:
    """Return the message that an endpoint's owner sends to itself."""
    return _message(TEST_TYPE, at, {"endpoint_id": str(endpoint_id)})


def _message(type_name: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    return _encode({"type": type_name, "timestamp": rfc3339(at), "data": data})


class _Stamped(msgspec.Struct):
    timestamp: datetime


_stamped: Final = msgspec.json.Decoder(_Stamped).decode
