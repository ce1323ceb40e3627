"""What two read models of different releases must agree on, since their columns and so their hashes differ."""

from collections.abc import Mapping
from typing import Final

from servicekit.postgres import Connection

_IS_CURRENT: Final = "select to_regclass($1 || '.balance_day') is not null"
_CHECKS: Final[Mapping[str, str]] = {
    "wallets that differ": """
        select count(*) from {live}.wallet as l full join {next}.wallet as n using (wallet_id)
        where (l.tenant_id, l.owner_id, l.currency, l.status, l.restrictions, l.overdraft_limit_minor, l.posted_minor,
               l.held_minor, l.version, l.opened_at, l.last_at, l.private)
              is distinct from
              (n.tenant_id, n.owner_id, n.currency, n.status, n.restrictions, n.overdraft_limit_minor, n.posted_minor,
               n.held_minor, n.version, n.opened_at, n.last_at, n.private)""",
    "entries by tenant and currency, their number or sum": """
        with l as (select tenant_id, currency, count(*), sum(amount_minor) from {live}.entry
                   where entry_index is not null group by 1, 2),
             n as (select tenant_id, currency, count(*), sum(amount_minor) from {next}.entry
                   where entry_index is not null group by 1, 2)
        select count(*) from ((table l except table n) union all (table n except table l)) as differs""",
    "system entries by account, their number or sum": """
        with l as (select tenant_id, account, count(*), sum(amount_minor) from {live}.system_entry group by 1, 2),
             n as (select tenant_id, account, count(*), sum(amount_minor) from {next}.system_entry group by 1, 2)
        select count(*) from ((table l except table n) union all (table n except table l)) as differs""",
    "currencies whose wallets and system accounts do not sum to zero": """
        select count(*) from (
            select currency from (select currency, posted_minor as minor from {next}.wallet
                                  union all select currency, amount_minor from {next}.system_entry) as each
            group by currency having sum(minor) <> 0) as unbalanced""",
    "wallets whose totals are not their balance": """
        select count(*) from {next}.wallet where credits_total - debits_total <> posted_minor""",
}


class ReadModelOutdated(Exception):
    """The tables are those of the release before."""


async def is_current(connection: Connection, schema: str) -> bool:
    """Return whether the tables in *schema* are those of this release."""
    current: bool = await connection.fetchval(_IS_CURRENT, schema)
    return current


async def disagreements(connection: Connection, live: str, rebuilt: str) -> dict[str, int]:
    """Return what the model of the release before, in *live*, and that in *rebuilt* do not agree on, with how often."""
    found = {}
    for name, check in _CHECKS.items():
        count = await connection.fetchval(check.format(live=live, next=rebuilt))
        if count:
            found[name] = count
    return found
