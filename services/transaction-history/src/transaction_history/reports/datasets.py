"""The reports with a row per wallet, declared; what SQL names of the request is {since} and {until}."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from transaction_history.domain.reports import Report
from transaction_history.exports.dataset import (
    AS_OF,
    OF_WALLETS,
    Dataset,
    code,
    id_text,
    instant,
    money,
    number,
    text,
)
from transaction_history.exports.datasets import balances
from transaction_history.projection.read_model_postgres import SCHEMA

BALANCES_AT: Final = balances("{alias}.occurred_at < {{until}}")

_BALANCES: Final = balances()
DORMANT_WALLETS: Final = replace(
    _BALANCES,
    name="dormant_wallets",
    existed=f"""{_BALANCES.existed} and closed.wallet_id is null
        and coalesce(last.occurred_at, s.opened_at) < {{since}}""",
)


def _totals_before(instant_: str, alias: str) -> str:
    """Return the join of a wallet's totals before an instant; a wallet without entries until then has none."""
    return f"""
        left join lateral (
            select e.fees_after, e.entries_after from {SCHEMA}.entry as e
            where e.wallet_id = s.wallet_id and e.occurred_at >= s.first_entry_at and e.occurred_at < {instant_}
              and {AS_OF.format(alias="e")}
            order by e.occurred_at desc, e.version desc limit 1) as {alias} on true"""


_FEES: Final = "(ended.fees_after - coalesce(begun.fees_after, 0))::bigint"
FEES: Final = Dataset(
    name="fees",
    columns=(
        id_text("wallet_id"),
        text("owner_id"),
        code("currency"),
        money("fees", _FEES),
        number("entries", "ended.entries_after - coalesce(begun.entries_after, 0)"),
        instant("last_entry_at"),
    ),
    scan=f"select w.* from {SCHEMA}.wallet as w where {{where}} order by w.owner_id, w.wallet_id",
    keys=(("owner_id", str), ("wallet_id", UUID)),
    **OF_WALLETS,
    joins=_totals_before("{since}", "begun") + _totals_before("{until}", "ended"),
    existed=f"{_FEES} <> 0",
    filters={},
)

OF_EACH_WALLET: Final[Mapping[Report, Dataset]] = {
    Report.BALANCES: BALANCES_AT,
    Report.FEES: FEES,
    Report.DORMANT_WALLETS: DORMANT_WALLETS,
}
