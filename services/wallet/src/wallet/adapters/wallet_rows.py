"""A wallet's row, read and written."""

from typing import Final

import asyncpg
import msgspec

from wallet.domain.wallets import Restriction, Wallet, WalletStatus

WALLET_COLUMNS: Final = (
    "id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor, overdraft_limit_minor, "
    "version, opened_at, last_at, private, operator_version"
)
"""The columns `wallet_from_row` reads, in their order."""
OPENING_COLUMNS: Final = WALLET_COLUMNS.replace("id, ", "wallet_id, ", 1)
"""The same of `wallet.wallet_opening`."""

_WIDTH: Final = 14
_STATUS, _RESTRICTIONS = 4, 5
_STATUSES: Final = {int(status): status for status in WalletStatus}
_restrictions = msgspec.json.Decoder(tuple[Restriction, ...])
_encode = msgspec.json.Encoder().encode


def wallet_from_row(row: asyncpg.Record, first: int = 0) -> Wallet:
    """Return the wallet whose WALLET_COLUMNS start at *first*."""
    fields = list(row[first : first + _WIDTH])
    fields[_STATUS] = _STATUSES[fields[_STATUS]]
    fields[_RESTRICTIONS] = _restrictions.decode(fields[_RESTRICTIONS]) if fields[_RESTRICTIONS] else ()
    return Wallet(*fields)


def restrictions_text(restrictions: tuple[Restriction, ...]) -> str | None:
    """Return *restrictions* as the column holds them."""
    return _encode(restrictions).decode() if restrictions else None


def wallet_row(wallet: Wallet) -> tuple[object, ...]:
    """Return *wallet* in the order of its columns."""
    return (
        wallet.id,
        wallet.tenant_id,
        wallet.owner_id,
        wallet.currency,
        wallet.status,
        restrictions_text(wallet.restrictions),
        wallet.posted_minor,
        wallet.held_minor,
        wallet.overdraft_limit_minor,
        wallet.version,
        wallet.opened_at,
        wallet.last_at,
        wallet.private,
        wallet.operator_version,
    )
