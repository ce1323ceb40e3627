"""What several events carry."""

import msgspec

from contracts.money import Money


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """All free text of an event. *key_id* names the key it is encrypted under; null means it stands in clear."""

    key_id: str | None
    reference: str | None
    description: str | None
    metadata: dict[str, str] | None
    label: str | None
    destination: str | None
    reason: str | None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's balance after the event: available = posted - held."""

    posted: Money
    held: Money
    available: Money


class Counterparty(msgspec.Struct, frozen=True, kw_only=True):
    """The other side of an entry: a wallet with its owner, or a system account such as `external:USD`."""

    wallet_id: str | None
    owner_id: str | None
    system_account: str | None
