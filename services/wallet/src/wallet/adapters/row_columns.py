"""The columns of the rows a batch reads and writes: for each kind of row in one place, in the order of its struct."""

from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg
import msgspec

from wallet.domain.limits import read_terms, read_usages, stored_terms, stored_usages
from wallet.domain.rows import RowKind, StateRow
from wallet.domain.wallets import Restriction, Wallet, WalletStatus

WALLET_COLUMNS: Final = ", ".join(Wallet.__struct_fields__)
"""The columns `wallet_from_row` reads, in their order."""
OPENING_COLUMNS: Final = WALLET_COLUMNS.replace("id, ", "wallet_id, ", 1)
"""The same of `wallet.wallet_opening`."""

_WIDTH: Final = len(Wallet.__struct_fields__)
_STATUS: Final = Wallet.__struct_fields__.index("status")
_RESTRICTIONS: Final = Wallet.__struct_fields__.index("restrictions")
_TERMS: Final = Wallet.__struct_fields__.index("terms")
_USAGE: Final = Wallet.__struct_fields__.index("usage")
_STATUSES: Final = {int(status): status for status in WalletStatus}
_restrictions = msgspec.json.Decoder(tuple[Restriction, ...])
_encode = msgspec.json.Encoder().encode


def wallet_from_row(row: asyncpg.Record) -> Wallet:
    """Return the wallet whose WALLET_COLUMNS *row* begins with."""
    fields = list(row[:_WIDTH])
    fields[_STATUS] = _STATUSES[fields[_STATUS]]
    fields[_RESTRICTIONS] = _restrictions.decode(fields[_RESTRICTIONS]) if fields[_RESTRICTIONS] else ()
    fields[_TERMS] = read_terms(fields[_TERMS])
    fields[_USAGE] = read_usages(fields[_USAGE])
    return Wallet(*fields)


def wallet_row(wallet: Wallet) -> tuple[object, ...]:
    """Return *wallet* in the order of its columns."""
    fields = list(msgspec.structs.astuple(wallet))
    fields[_RESTRICTIONS] = _encode(wallet.restrictions).decode() if wallet.restrictions else None
    fields[_TERMS] = stored_terms(wallet.terms)
    fields[_USAGE] = stored_usages(wallet.usage)
    return tuple(fields)


_STATE_FIELDS: Final = StateRow.__struct_fields__
STATE_COLUMNS: Final = ", ".join(_STATE_FIELDS)
"""The columns `StateColumns.from_row` reads, in their order."""
_BODY: Final = _STATE_FIELDS.index("body")


class StateColumns:
    """Reads and writes the rows of `wallet.state`, of these *kinds*."""

    def __init__(self, kinds: Iterable[RowKind]) -> None:
        self._decoders: Mapping[int, msgspec.json.Decoder[msgspec.Struct]] = {
            kind.number: msgspec.json.Decoder(kind.body) for kind in kinds
        }

    def from_row(self, row: asyncpg.Record) -> StateRow:
        """Return the row whose columns stand in the order of the struct."""
        fields = dict(zip(_STATE_FIELDS, row, strict=False))
        fields["body"] = self._decoders[fields["kind"]].decode(fields["body"])
        return StateRow(**fields)

    def to_row(self, state: StateRow) -> tuple[object, ...]:
        """Return *state* in the order of its columns."""
        fields = list(msgspec.structs.astuple(state))
        fields[_BODY] = _encode(state.body)
        return tuple(fields)
