"""The datasets that can be exported, declared: columns, where rows come from, in which order, and what narrows them.

The parts of a statement name rows that were scanned as `s`; a scan reads so many rows of the tenant in the order of its
keys and no more, whatever the filters let through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final
from uuid import UUID

from transaction_history.domain.tables import CellKind, Head
from transaction_history.projection.read_model_postgres import SCHEMA


class Form(Enum):
    """How what the database gives becomes a cell."""

    PLAIN = auto()
    MONEY = auto()
    """Minor units of the row's currency."""
    INSTANT = auto()
    PRIVATE = auto()
    """A field of the row's free text, named as the column."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset; *sql* gives it, but for free text."""

    name: str
    kind: CellKind
    form: Form
    sql: str = ""

    @property
    def head(self) -> Head:
        """What writers know of it."""
        return Head(self.name, self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is exported. *scan* has the places {where} and {order}; *joins* add to what was scanned.

    *keys* are the order, each with the type of its values; *after* compares them with {0}, {1} … *seq* and *tenant*,
    *owner* are SQL within the scan, *wallets* narrows it to the owners of wallets. *filters* are SQL over `s` and what
    was joined, each with the place {}.
    """

    name: str
    columns: Sequence[Column]
    scan: str
    keys: Sequence[tuple[str, Any]]
    after: str
    tenant: str
    owner: str
    wallets: str
    joins: str = ""
    existed: str
    filters: Mapping[str, str]
    always: Sequence[str] = ()

    def column(self, name: str) -> Column | None:
        """Return the column of that name."""
        return next((each for each in self.columns if each.name == name), None)


def _code(name: str, sql: str | None = None) -> Column:
    return Column(name, CellKind.CODE, Form.PLAIN, sql or f"s.{name}")


def _id(name: str, sql: str | None = None) -> Column:
    return Column(name, CellKind.CODE, Form.PLAIN, f"{sql or f's.{name}'}::text")


def _text(name: str, sql: str | None = None) -> Column:
    return Column(name, CellKind.TEXT, Form.PLAIN, sql or f"s.{name}")


def _money(name: str, sql: str) -> Column:
    return Column(name, CellKind.DECIMAL, Form.MONEY, sql)


def _number(name: str, sql: str | None = None) -> Column:
    return Column(name, CellKind.NUMBER, Form.PLAIN, sql or f"s.{name}")


def _instant(name: str, sql: str | None = None) -> Column:
    return Column(name, CellKind.CODE, Form.INSTANT, sql or f"s.{name}")


def _private(name: str) -> Column:
    return Column(name, CellKind.TEXT, Form.PRIVATE)


AS_OF: Final = "{alias}.seq <= ({{as_of}}::bigint[])[1 + (get_byte(uuid_send({alias}.wallet_id), 15) & 63)]"
"""Whether a row was there when the job first looked: {as_of} has a sequence by shard."""
_OWNERS_OF_WALLETS: Final = f"""
    = any (array(select w.owner_id from {SCHEMA}.wallet as w
                 where w.wallet_id = any ({{ids}}::uuid[]) and w.tenant_id = {{tenant}}))"""
_OF_WALLET: Final = {
    "wallet_id": "s.wallet_id = any ({}::uuid[])",
    "type": "s.type = any ({}::text[])",
    "since": "s.occurred_at >= {}",
    "until": "s.occurred_at < {}",
}

ENTRIES: Final = Dataset(
    name="entries",
    columns=(
        _id("id", "s.event_id"),
        _instant("occurred_at"),
        _id("wallet_id"),
        _text("owner_id"),
        _number("version"),
        _code("type"),
        _id("transaction_id"),
        _code("transaction_type"),
        _number("entry_index"),
        _number("entry_count"),
        _money("amount", "s.amount_minor"),
        _code("currency"),
        _money("balance_posted", "s.posted_minor_after"),
        _money("balance_held", "s.held_minor_after"),
        _money("balance_available", "s.posted_minor_after - s.held_minor_after"),
        _id("counterparty_wallet_id"),
        _text(
            "counterparty_owner_id",
            "case when {owners}::text[] is null or s.counterparty_owner_id = any ({owners}::text[])"
            " then s.counterparty_owner_id end",
        ),
        _code("counterparty_account"),
        _private("reference"),
        _private("description"),
        _private("metadata"),
        _private("destination"),
        _id("related_transaction_id"),
        _id("hold_id"),
        _code("fee_rule"),
        Column("is_forced", CellKind.FLAG, Form.PLAIN, "s.is_forced"),
    ),
    scan=f"select e.* from {SCHEMA}.entry as e where {{where}} order by e.owner_id, e.occurred_at, e.event_id",
    keys=(("owner_id", str), ("occurred_at", datetime), ("event_id", UUID)),
    after="(e.owner_id, e.occurred_at, e.event_id) > ({0}, {1}, {2})",
    tenant="e.tenant_id",
    owner="e.owner_id",
    wallets="e.owner_id " + _OWNERS_OF_WALLETS,
    existed=f"{AS_OF.format(alias='s')} and s.entry_index is not null",  # holds alone have a dataset of their own
    filters={
        **_OF_WALLET,
        "transaction_type": "s.transaction_type = any ({}::text[])",
        "currency": "s.currency = any ({}::text[])",
        "counterparty_wallet_id": "s.counterparty_wallet_id = any ({}::uuid[])",
        "direction": "case {} when 'in' then s.amount_minor > 0 else s.amount_minor < 0 end",
        "amount_min_minor": "abs(s.amount_minor) >= {}",
        "amount_max_minor": "abs(s.amount_minor) <= {}",
    },
)

_WALLET: Final = {
    "after": "w.owner_id >= {0} and (w.owner_id, w.wallet_id) > ({0}, {1})",
    "tenant": "w.tenant_id",
    "owner": "w.owner_id",
    "wallets": "w.wallet_id = any ({ids}::uuid[])",
}

BALANCES: Final = Dataset(
    name="balances",
    columns=(
        _id("wallet_id"),
        _text("owner_id"),
        _code("currency"),
        _code("status", "case when closed.wallet_id is null then 'open' else 'closed' end"),
        _instant("opened_at"),
        _money("balance_posted", "coalesce(last.posted_minor_after, 0)"),
        _money("balance_held", "coalesce(last.held_minor_after, 0)"),
        _money("balance_available", "coalesce(last.posted_minor_after - last.held_minor_after, 0)"),
        _number("version", "greatest(last.version, moved.version)"),
        _instant("last_entry_at", "last.occurred_at"),
    ),
    scan=f"select w.* from {SCHEMA}.wallet as w where {{where}} order by w.owner_id, w.wallet_id",
    keys=(("owner_id", str), ("wallet_id", UUID)),
    **_WALLET,
    joins=f"""
        left join lateral (
            select e.version, e.posted_minor_after, e.held_minor_after, e.occurred_at from {SCHEMA}.entry as e
            where e.wallet_id = s.wallet_id and e.occurred_at between s.first_entry_at and s.last_entry_at
              and {AS_OF.format(alias="e")}
            order by e.occurred_at desc, e.version desc limit 1) as last on true
        left join lateral (
            select c.version from {SCHEMA}.state_change as c
            where c.wallet_id = s.wallet_id and c.occurred_at between s.opened_at and s.last_at
              and {AS_OF.format(alias="c")}
            order by c.occurred_at desc, c.version desc limit 1) as moved on true
        left join lateral (
            select c.wallet_id from {SCHEMA}.state_change as c
            where c.wallet_id = s.wallet_id and c.type = 'wallet.closed.v1' and {AS_OF.format(alias="c")}
            limit 1) as closed on true""",
    existed="moved.version is not null",  # what opened the wallet is a change too
    filters={
        "wallet_id": _OF_WALLET["wallet_id"],
        "currency": "s.currency = any ({}::text[])",
        "status": "case when closed.wallet_id is null then 'open' else 'closed' end = any ({}::text[])",
    },
)

STATE_CHANGES: Final = Dataset(
    name="state_changes",
    columns=(
        _id("id", "s.event_id"),
        _instant("occurred_at"),
        _id("wallet_id"),
        _text("owner_id"),
        _number("version"),
        _code("type"),
        _text("source"),
        _code("scope"),
        _private("reason"),
        _private("label"),
        _private("metadata"),
    ),
    scan=f"""
        select c.*, w.currency from {SCHEMA}.wallet as w
        join {SCHEMA}.state_change as c on c.wallet_id = w.wallet_id and c.tenant_id = w.tenant_id
        where {{where}} order by w.owner_id, w.wallet_id, c.version""",
    keys=(("owner_id", str), ("wallet_id", UUID), ("version", int)),
    **{**_WALLET, "after": "w.owner_id >= {0} and (w.owner_id, w.wallet_id, c.version) > ({0}, {1}, {2})"},
    existed=AS_OF.format(alias="s"),
    filters=_OF_WALLET,
)

HOLDS: Final = Dataset(
    name="holds",
    columns=(
        _id("id", "s.hold_id"),
        _instant("placed_at"),
        _id("wallet_id"),
        _text("owner_id"),
        _code("purpose"),
        _code("status"),
        _money("amount", "s.amount_minor"),
        _money("fee_reserved", "s.fee_reserved_minor"),
        _money("captured", "s.captured_minor"),
        _money("released", "s.released_minor"),
        _money("remaining", "s.remaining_minor"),
        _code("currency"),
        _instant("expires_at"),
        _instant("last_at"),
    ),
    scan=f"""
        select h.* from {SCHEMA}.wallet as w
        join {SCHEMA}.hold as h on h.wallet_id = w.wallet_id and h.tenant_id = w.tenant_id
        where {{where}} order by w.owner_id, w.wallet_id, h.hold_id""",
    keys=(("owner_id", str), ("wallet_id", UUID), ("hold_id", UUID)),
    **{**_WALLET, "after": "w.owner_id >= {0} and (w.owner_id, w.wallet_id, h.hold_id) > ({0}, {1}, {2})"},
    existed="true",  # a hold is told as it is when it is read: its row has no past
    filters={
        "wallet_id": _OF_WALLET["wallet_id"],
        "currency": "s.currency = any ({}::text[])",
        "status": "s.status = any ({}::text[])",
        "since": "s.placed_at >= {}",
        "until": "s.placed_at < {}",
    },
)

DATASETS: Final[Mapping[str, Dataset]] = {each.name: each for each in (ENTRIES, BALANCES, STATE_CHANGES, HOLDS)}
