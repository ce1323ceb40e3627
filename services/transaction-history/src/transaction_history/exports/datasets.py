"""The datasets that can be exported, declared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from transaction_history.domain.exports import ExportRequest
from transaction_history.domain.tables import CellKind
from transaction_history.exports.dataset import (
    AS_OF,
    OF_WALLETS,
    Column,
    Dataset,
    Form,
    code,
    id_text,
    instant,
    money,
    number,
    private,
    text,
)
from transaction_history.projection.read_model_postgres import SCHEMA

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
        id_text("id", "s.event_id"),
        instant("occurred_at"),
        id_text("wallet_id"),
        text("owner_id"),
        number("version"),
        code("type"),
        id_text("transaction_id"),
        code("transaction_type"),
        number("entry_index"),
        number("entry_count"),
        money("amount", "s.amount_minor"),
        code("currency"),
        money("balance_posted", "s.posted_minor_after"),
        money("balance_held", "s.held_minor_after"),
        money("balance_available", "s.posted_minor_after - s.held_minor_after"),
        id_text("counterparty_wallet_id"),
        text(
            "counterparty_owner_id",
            "case when {owners}::text[] is null or s.counterparty_owner_id = any ({owners}::text[])"
            " then s.counterparty_owner_id end",
        ),
        code("counterparty_account"),
        private("reference"),
        private("description"),
        private("metadata"),
        private("destination"),
        id_text("related_transaction_id"),
        id_text("hold_id"),
        code("fee_rule"),
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


def balances(until: str = "true") -> Dataset:
    """Return the dataset of wallets' balances; *until* is a condition on rows {alias} that went into them."""
    known = f"{AS_OF} and {until}"
    return Dataset(
        name="balances",
        columns=(
            id_text("wallet_id"),
            text("owner_id"),
            code("currency"),
            code("status", "case when closed.wallet_id is null then 'open' else 'closed' end"),
            instant("opened_at"),
            money("balance_posted", "coalesce(last.posted_minor_after, 0)"),
            money("balance_held", "coalesce(last.held_minor_after, 0)"),
            money("balance_available", "coalesce(last.posted_minor_after - last.held_minor_after, 0)"),
            number("version", "greatest(last.version, moved.version)"),
            instant("last_entry_at", "last.occurred_at"),
        ),
        scan=f"select w.* from {SCHEMA}.wallet as w where {{where}} order by w.owner_id, w.wallet_id",
        keys=(("owner_id", str), ("wallet_id", UUID)),
        **OF_WALLETS,
        joins=f"""
            left join lateral (
                select e.version, e.posted_minor_after, e.held_minor_after, e.occurred_at from {SCHEMA}.entry as e
                where e.wallet_id = s.wallet_id and e.occurred_at between s.first_entry_at and s.last_entry_at
                  and {known.format(alias="e")}
                order by e.occurred_at desc, e.version desc limit 1) as last on true
            left join lateral (
                select c.version from {SCHEMA}.state_change as c
                where c.wallet_id = s.wallet_id and c.occurred_at between s.opened_at and s.last_at
                  and {known.format(alias="c")}
                order by c.occurred_at desc, c.version desc limit 1) as moved on true
            left join lateral (
                select c.wallet_id from {SCHEMA}.state_change as c
                where c.wallet_id = s.wallet_id and c.type = 'wallet.closed.v1' and {known.format(alias="c")}
                limit 1) as closed on true""",
        existed="moved.version is not null",  # what opened the wallet is a change too
        statuses=("open", "closed"),
        filters={
            "wallet_id": _OF_WALLET["wallet_id"],
            "currency": "s.currency = any ({}::text[])",
            "status": "case when closed.wallet_id is null then 'open' else 'closed' end = any ({}::text[])",
        },
    )


BALANCES: Final = balances()

STATE_CHANGES: Final = Dataset(
    name="state_changes",
    columns=(
        id_text("id", "s.event_id"),
        instant("occurred_at"),
        id_text("wallet_id"),
        text("owner_id"),
        number("version"),
        code("type"),
        text("source"),
        code("scope"),
        private("reason"),
        private("label"),
        private("metadata"),
    ),
    scan=f"""
        select c.*, w.currency from {SCHEMA}.wallet as w
        join {SCHEMA}.state_change as c on c.wallet_id = w.wallet_id and c.tenant_id = w.tenant_id
        where {{where}} order by w.owner_id, w.wallet_id, c.version""",
    keys=(("owner_id", str), ("wallet_id", UUID), ("version", int)),
    **{**OF_WALLETS, "after": "w.owner_id >= {0} and (w.owner_id, w.wallet_id, c.version) > ({0}, {1}, {2})"},
    existed=AS_OF.format(alias="s"),
    filters=_OF_WALLET,
)

HOLDS: Final = Dataset(
    name="holds",
    columns=(
        id_text("id", "s.hold_id"),
        instant("placed_at"),
        id_text("wallet_id"),
        text("owner_id"),
        code("purpose"),
        code("status"),
        money("amount", "s.amount_minor"),
        money("fee_reserved", "s.fee_reserved_minor"),
        money("captured", "s.captured_minor"),
        money("released", "s.released_minor"),
        money("remaining", "s.remaining_minor"),
        code("currency"),
        instant("expires_at"),
        instant("last_at"),
    ),
    scan=f"""
        select h.* from {SCHEMA}.wallet as w
        join {SCHEMA}.hold as h on h.wallet_id = w.wallet_id and h.tenant_id = w.tenant_id
        where {{where}} order by w.owner_id, w.wallet_id, h.hold_id""",
    keys=(("owner_id", str), ("wallet_id", UUID), ("hold_id", UUID)),
    **{**OF_WALLETS, "after": "w.owner_id >= {0} and (w.owner_id, w.wallet_id, h.hold_id) > ({0}, {1}, {2})"},
    statuses=("open", "captured", "voided", "expired"),
    existed="true",  # a hold is told as it is when it is read: its row has no past
    filters={
        "wallet_id": _OF_WALLET["wallet_id"],
        "currency": "s.currency = any ({}::text[])",
        "status": "s.status = any ({}::text[])",
        "since": "s.placed_at >= {}",
        "until": "s.placed_at < {}",
    },
)

_ONE_CURRENCY: Final = "(select min(key) from jsonb_object_keys(t.amounts) as key having count(*) = 1) as currency"
_ENTRY_OF_IT: Final = f"""
    select from {SCHEMA}.entry as e
    where e.transaction_id = s.transaction_id and e.tenant_id = s.tenant_id
      and e.occurred_at between s.created_at and s.last_entry_at and {AS_OF.format(alias="e")}"""

TRANSACTIONS: Final = Dataset(
    name="transactions",
    columns=(
        id_text("id", "s.transaction_id"),
        instant("created_at"),
        instant("last_entry_at"),
        code("type"),
        code("status"),
        number("entry_count"),
        Column("is_complete", CellKind.FLAG, Form.PLAIN, "s.entries_seen = s.entry_count"),
        money("amount", "(s.amounts ->> s.currency)::bigint"),
        code("currency"),
        Column("amounts", CellKind.CODE, Form.AMOUNTS, "s.amounts"),
        Column(
            "refunded",
            CellKind.CODE,
            Form.AMOUNTS,
            "case when s.refunded_minor > 0 then jsonb_build_object(s.refund_currency, s.refunded_minor) end",
        ),
        id_text("reverses"),
        id_text("reversed_by"),
    ),
    tenant="t.tenant_id",
    statuses=("posted", "partially_refunded", "refunded", "reversed"),
    filters={
        "type": _OF_WALLET["type"],
        "currency": "s.amounts ?| {}::text[]",
        "status": "s.status = any ({}::text[])",
        "since": "s.created_at >= {}",
        "until": "s.created_at < {}",
    },
    scan=f"""
        select t.*, {_ONE_CURRENCY} from {SCHEMA}.transaction as t
        where {{where}} and t.entries_seen > 0 order by t.created_at, t.transaction_id""",
    keys=(("created_at", datetime), ("transaction_id", UUID)),
    after="(t.created_at, t.transaction_id) > ({0}, {1})",
    existed=f"exists ({_ENTRY_OF_IT})",  # its row is told as it is when it is read
    is_of_wallets=False,
)

TRANSACTIONS_OF_OWNERS: Final = replace(
    TRANSACTIONS,
    scan=f"""
        select t.*, {_ONE_CURRENCY}, e.owner_id, e.wallet_id, e.seq, e.occurred_at, e.event_id
        from {SCHEMA}.entry as e
        join {SCHEMA}.transaction as t on t.transaction_id = e.transaction_id and t.tenant_id = e.tenant_id
        where {{where}} order by e.owner_id, e.occurred_at, e.event_id""",
    keys=(("owner_id", str), ("occurred_at", datetime), ("event_id", UUID)),
    after="(e.owner_id, e.occurred_at, e.event_id) > ({0}, {1}, {2})",
    owner="e.owner_id",
    # Of several entries in one transaction the first stands for it.
    existed=f"""
        {AS_OF.format(alias="s")} and not exists ({_ENTRY_OF_IT}
          and e.owner_id = any ({{about}}::text[])
          and (e.owner_id, e.occurred_at, e.event_id) < (s.owner_id, s.occurred_at, s.event_id))""",
    is_of_wallets=True,
)

DATASETS: Final[Mapping[str, Dataset]] = {
    each.name: each for each in (ENTRIES, TRANSACTIONS, BALANCES, STATE_CHANGES, HOLDS)
}


def dataset_of(request: ExportRequest, owners: Sequence[str] | None) -> Dataset:
    """Return where the rows of *request* come from for a caller that acts for *owners*, None for every owner."""
    if request.dataset == TRANSACTIONS.name and (owners is not None or request.filters.owner_id):
        return TRANSACTIONS_OF_OWNERS
    return DATASETS[request.dataset]
