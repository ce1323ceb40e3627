"""The statements of the read model's writing side, for the schema that they write to."""

from dataclasses import dataclass
from typing import Final

from transaction_history.domain.rows import BalanceDayRow, HoldRow, TransactionRow
from transaction_history.projection.columns import columns_of, selected

CHANGED: Final = {
    "wallet_id": "uuid",
    "status": "text",
    "restrictions": "text",
    "posted_minor": "bigint",
    "held_minor": "bigint",
    "version": "bigint",
    "last_at": "timestamptz",
    "overdraft_limit_minor": "bigint",
    "private": "text",
    "entries": "bigint",
    "credits_total": "numeric",
    "debits_total": "numeric",
    "fees_total": "numeric",
    "first_entry_at": "timestamptz",
    "last_entry_at": "timestamptz",
}
"""What events can change of a wallet, behind its key, with the columns' types."""
TRANSACTION: Final = {
    "transaction_id": "uuid",
    "tenant_id": "uuid",
    "type": "text",
    "entry_count": "smallint",
    "entries_seen": "smallint",
    "created_at": "timestamptz",
    "last_entry_at": "timestamptz",
    "reverses": "uuid",
    "reversed_by": "uuid",
    "refunded_minor": "bigint",
    "refundable_minor": "bigint",
    "refund_currency": "text",
    "amounts": "text",
    "refunds": "text",
}
"""What is told of a transaction, in the order of the statement's arrays; *amounts* and *refunds* travel as texts."""
HOLD: Final = {
    "wallet_id": "uuid",
    "hold_id": "uuid",
    "tenant_id": "uuid",
    "owner_id": "text",
    "shard": "smallint",
    "currency": "text",
    "purpose": "text",
    "status": "text",
    "amount_minor": "bigint",
    "fee_reserved_minor": "bigint",
    "captured_minor": "bigint",
    "released_minor": "bigint",
    "remaining_minor": "bigint",
    "expires_at": "timestamptz",
    "placed_at": "timestamptz",
    "last_at": "timestamptz",
    "version": "bigint",
    "transactions": "text",
}
"""What is told of a hold, in the order of the statement's arrays; *transactions* travel as a text."""
_DAY: Final = {
    "wallet_id": "uuid",
    "day": "date",
    "tenant_id": "uuid",
    "owner_id": "text",
    "shard": "smallint",
    "currency": "text",
    "version": "bigint",
    "posted_minor": "bigint",
    "held_minor": "bigint",
    "entries": "bigint",
    "credits_total": "numeric",
    "debits_total": "numeric",
    "fees_total": "numeric",
}


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements by what they do; each takes the arrays that its rows' columns are unnested from."""

    missing_partitions: str
    make_partitions: str
    update_wallets: str
    tell_transactions: str
    change_holds: str
    end_days: str


def statements(schema: str) -> Statements:
    """Return the statements that write to *schema*."""
    changed = [name for name in CHANGED if name != "wallet_id"]
    return Statements(
        missing_partitions=f"""
            select array(select m from unnest($1::date[]) as m
                         where to_regclass('{schema}.entry' || to_char(m, '_YYYY_MM')) is null) as occurred,
                   array(select m from unnest($2::date[]) as m
                         where to_regclass('{schema}.transaction' || to_char(m, '_YYYY_MM')) is null) as made""",
        make_partitions=f"select {schema}.make_partitions($1::date[], $2::date[])",
        update_wallets=f"""
            update {schema}.wallet as w set {", ".join(f"{name} = n.{name}" for name in changed)}
            from {_unnested(CHANGED)} where w.wallet_id = n.wallet_id""",
        tell_transactions=_tell_transactions(schema),
        change_holds=_change_holds(schema),
        end_days=f"""
            insert into {schema}.balance_day ({selected(BalanceDayRow)})
            select {selected(BalanceDayRow)} from {_unnested(_DAY)} order by wallet_id, day
            on conflict (wallet_id, day) do update set {_replaced(columns_of(BalanceDayRow)[6:])}""",
    )


def _tell_transactions(schema: str) -> str:
    """Return what adds up: entries come from several shards, in an order that differs from a rebuild's."""
    return f"""
        insert into {schema}.transaction as t ({selected(TransactionRow)})
        select {selected(TransactionRow).replace("amounts", "amounts::jsonb").replace("refunds", "refunds::uuid[]")}
        from {_unnested(TRANSACTION)} order by transaction_id
        on conflict (transaction_id) do update set
            type = coalesce(t.type, excluded.type),
            entry_count = coalesce(t.entry_count, excluded.entry_count),
            entries_seen = t.entries_seen + excluded.entries_seen,
            amounts = case when t.amounts = '{{}}' then excluded.amounts
                           when excluded.amounts = '{{}}' then t.amounts
                           else (select jsonb_object_agg(key, total)
                                 from (select key, sum(value::numeric) as total
                                       from (select * from jsonb_each_text(t.amounts)
                                             union all select * from jsonb_each_text(excluded.amounts)) as each
                                       group by key) as summed) end,
            created_at = least(t.created_at, excluded.created_at),
            last_entry_at = greatest(t.last_entry_at, excluded.last_entry_at),
            reverses = coalesce(t.reverses, excluded.reverses),
            reversed_by = coalesce(t.reversed_by, excluded.reversed_by),
            refunds = array(select distinct id from unnest(t.refunds || excluded.refunds) as id order by id),
            refunded_minor = t.refunded_minor + excluded.refunded_minor,
            refundable_minor = coalesce(t.refundable_minor, excluded.refundable_minor),
            refund_currency = coalesce(t.refund_currency, excluded.refund_currency)"""


def _change_holds(schema: str) -> str:
    changed = [name for name in columns_of(HoldRow)[7:] if name not in {"placed_at", "transactions"}]
    return f"""
        insert into {schema}.hold as h ({selected(HoldRow)})
        select {selected(HoldRow).replace("transactions", "transactions::uuid[]")}
        from {_unnested(HOLD)} order by wallet_id, hold_id
        on conflict (wallet_id, hold_id) do update set
            {_replaced(changed)}, transactions = h.transactions || excluded.transactions"""


def _unnested(types: dict[str, str]) -> str:
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(types.values(), start=1))
    return f"unnest({arrays}) as n ({', '.join(types)})"


def _replaced(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)
