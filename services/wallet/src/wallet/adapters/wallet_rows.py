"""A wallet's row, read and written."""

from typing import Final

import asyncpg
import msgspec

from wallet.domain.wallets import Restriction, Wallet, WalletStatus

WALLET_COLUMNS: Final = (
    "id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor, overdraft_limit_minor, "
    "version, opened_at, last_at, private"
)
"""The columns `wallet_from_row` reads, in their order."""

_STATUSES: Final = {int(status): status for status in WalletStatus}
_restrictions = msgspec.json.Decoder(tuple[Restriction, ...])
_encode = msgspec.json.Encoder().encode


def wallet_from_row(row: asyncpg.Record, first: int = 0) -> Wallet:
    """Return the wallet whose WALLET_COLUMNS start at *first*."""
    (
        wallet_id,
        tenant_id,
        owner_id,
        currency,
        status,
        restrictions,
        posted,
        held,
        overdraft_limit,
        version,
        opened_at,
        at,
        private,
    ) = row[first : first + 13]
    return Wallet(
        wallet_id,
        tenant_id,
        owner_id,
        currency,
        _STATUSES[status],
        _restrictions.decode(restrictions) if restrictions else (),
        posted,
        held,
        overdraft_limit,
        version,
        opened_at,
        at,
        private,
    )


def restrictions_text(restrictions: tuple[Restriction, ...]) -> str | None:
    """Return *restrictions* as the column holds them."""
    return _encode(restrictions).decode() if restrictions else None
