"""The answers of the two APIs against the journal, for the busiest wallets and some of every kind: I6."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import asyncpg

from contracts.registry import TYPES_BY_NUMBER
from demo.findings import Findings
from demo.http_client import HttpPool
from demo.money import from_text
from demo.reconcile.asking import get
from demo.reconcile.money import check_used
from demo.reconcile.postgres import snapshot
from demo.stack import Platform

WALLETS_BUSY: Final = 10
WALLETS_ANY: Final = 40
TRANSACTIONS: Final = 60
TRANSACTIONS_TOLD: Final = 40
"""Of those that capture, charge a fee or take back, and of those that are taken back."""
TOLD: Final = ("wallet.hold_captured.v1", "wallet.fee_charged.v1", "wallet.refund_sent.v1", "wallet.refund_received.v1")
PAGE: Final = 200
PAGES_MAX: Final = 10

_SAMPLED_WALLETS: Final = """
    (select id from wallet.wallet order by version desc, id limit $1)
    union (select id from wallet.wallet order by md5(id::text) limit $2)"""
_SAMPLED_TRANSACTIONS: Final = """
    (select distinct transaction_id from wallet.journal
      where shard = any ('{0, 21, 42}') and transaction_id is not null limit $1)
    union (select transaction_id from
      (select distinct on (transaction_id) transaction_id, type from wallet.journal where type = any ($3)) told
       order by md5(transaction_id::text) limit $2)
    union (select id from wallet.state where kind = 3 order by md5(id::text) limit $2)"""
_ENTRIES: Final = """
    select version, transaction_id, posted_delta, posted_after from wallet.journal
     where shard = get_byte(uuid_send($1), 15) & 63 and account_id = $1 and version is not null
       and transaction_id is not null
     order by version desc limit $2"""
_TRANSACTION_ENTRIES: Final = """
    select entry_index, case when system_account is null then account_id::text end, system_account, posted_delta
      from wallet.journal where transaction_id = $1 order by entry_index"""


_SHOWN: Final = ("type", "status", "amount", "refunded", "refunds", "fees", "related_transaction_id")
"""Members that both services tell alike."""


class ApiCheck:
    """Asks the APIs of a drained platform."""

    def __init__(self, platform: Platform, findings: Findings) -> None:
        self._platform = platform
        self._findings = findings
        self._history = HttpPool(platform.history_url, connections=4, credential=platform.credential)
        self._wallet = HttpPool(platform.wallet_url, connections=4, credential=platform.credential)

    async def run(self, used: Mapping[UUID, Sequence[tuple[Any, ...]]]) -> tuple[int, int, int]:
        """Compare; return how many wallets, transactions and wallets' limits were asked for.

        *used* is what limits of wallets must tell.
        """
        async with snapshot(self._platform.wallet_dsn) as journal:
            wallets = await journal.fetch(_SAMPLED_WALLETS, WALLETS_BUSY, WALLETS_ANY)
            for (wallet_id,) in wallets:
                await self._check_wallet(journal, wallet_id)
            told = [number for number, each in TYPES_BY_NUMBER.items() if each.name in TOLD]
            transactions = await journal.fetch(_SAMPLED_TRANSACTIONS, TRANSACTIONS, TRANSACTIONS_TOLD, told)
            for (transaction_id,) in transactions:
                await self._check_transaction(journal, transaction_id)
        for wallet_id, kept in used.items():
            limits = await get(self._wallet, f"/v1/wallets/{wallet_id}/limits")
            check_used(wallet_id, limits["limits"], kept, self._findings)
        self._history.close()
        self._wallet.close()
        return len(wallets), len(transactions), len(used)

    async def _check_wallet(self, journal: asyncpg.Connection, wallet_id: Any) -> None:
        rows = [tuple(row) for row in await journal.fetch(_ENTRIES, wallet_id, PAGE * PAGES_MAX)]
        wanted = [(version, str(transaction), delta, after) for version, transaction, delta, after in rows]
        actual = [_entry(entry) for entry in await self._entries(str(wallet_id))]
        what = "GET entries of wallet {}: {} entries, the journal has {}, or they differ"
        self._findings.judge("I6", what, wallet_id, len(actual), len(wanted), is_right=actual == wanted)
        balance = (await get(self._wallet, f"/v1/wallets/{wallet_id}"))["balance"]["posted"]
        posted = from_text(balance["amount"], balance["currency"])
        newest = wanted[0][3] if wanted else 0
        what = "GET wallet {}: {}, the journal {}"
        self._findings.judge("I6", what, wallet_id, posted, newest, is_right=posted == newest)

    async def _entries(self, wallet_id: str) -> list[Mapping[str, Any]]:
        entries: list[Mapping[str, Any]] = []
        path = f"/v1/history/wallets/{wallet_id}/entries?limit={PAGE}"
        cursor = ""
        for _ in range(PAGES_MAX):
            page = await get(self._history, path + cursor)
            entries += page["data"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={quote(page['next_cursor'])}"
        return entries

    async def _check_transaction(self, journal: asyncpg.Connection, transaction_id: Any) -> None:
        wanted = [tuple(row) for row in await journal.fetch(_TRANSACTION_ENTRIES, transaction_id)]
        body = await get(self._history, f"/v1/history/transactions/{transaction_id}")
        actual = [_transaction_entry(entry) for entry in body["entries"]]
        of_ledger = await get(self._wallet, f"/v1/transactions/{transaction_id}")
        shown, wanted_shown = ([each.get(name) for name in _SHOWN] for each in (body, of_ledger))
        what = "GET transaction {}: the read model tells {}, the ledger {}"
        is_same = shown == wanted_shown
        self._findings.judge("I6", what, transaction_id, shown, wanted_shown, is_right=is_same)
        is_right = actual == wanted and body["complete"] is True
        self._findings.judge(
            "I6", "GET transaction {}: {}, the journal {}", transaction_id, actual, wanted, is_right=is_right
        )


def _entry(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    posted = entry["balance"]["posted"]
    return (entry["version"], entry["transaction_id"], _minor(entry["amount"]), _minor(posted))


def _transaction_entry(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return (entry["entry_index"], entry["wallet_id"], entry["system_account"], _minor(entry["amount"]))


def _minor(money: Mapping[str, str]) -> int:
    return from_text(money["amount"], money["currency"])
