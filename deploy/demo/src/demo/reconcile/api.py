"""The answers of the two APIs against the journal, for the busiest wallets and some of every kind: I6."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import asyncpg
import msgspec

from demo.findings import Findings
from demo.http_client import HttpPool
from demo.money import from_text
from demo.reconcile.postgres import snapshot
from demo.stack import DemoError, Platform

WALLETS_BUSY: Final = 10
WALLETS_ANY: Final = 40
TRANSACTIONS: Final = 60
PAGE: Final = 200
PAGES_MAX: Final = 10
TRIES_MAX: Final = 20
_OK: Final = 200
_decode = msgspec.json.Decoder().decode

_SAMPLED_WALLETS: Final = """
    (select id from wallet.wallet order by version desc, id limit $1)
    union (select id from wallet.wallet order by md5(id::text) limit $2)"""
_SAMPLED_TRANSACTIONS: Final = """
    select distinct transaction_id from wallet.journal
     where shard = any ('{0, 21, 42}') and transaction_id is not null limit $1"""
_ENTRIES: Final = """
    select version, transaction_id, posted_delta, posted_after from wallet.journal
     where shard = get_byte(uuid_send($1), 15) & 63 and account_id = $1 and version is not null
       and transaction_id is not null
     order by version desc limit $2"""
_TRANSACTION_ENTRIES: Final = """
    select entry_index, case when system_account is null then account_id::text end, system_account, posted_delta
      from wallet.journal where transaction_id = $1 order by entry_index"""


class ApiCheck:
    """Asks the APIs of a drained platform."""

    def __init__(self, platform: Platform, findings: Findings) -> None:
        self._platform = platform
        self._findings = findings
        self._history = HttpPool(platform.history_url, connections=4, credential=platform.credential)
        self._wallet = HttpPool(platform.wallet_url, connections=4, credential=platform.credential)

    async def run(self) -> tuple[int, int]:
        """Compare; return how many wallets and transactions were asked for."""
        async with snapshot(self._platform.wallet_dsn) as journal:
            wallets = await journal.fetch(_SAMPLED_WALLETS, WALLETS_BUSY, WALLETS_ANY)
            for (wallet_id,) in wallets:
                await self._check_wallet(journal, wallet_id)
            transactions = await journal.fetch(_SAMPLED_TRANSACTIONS, TRANSACTIONS)
            for (transaction_id,) in transactions:
                await self._check_transaction(journal, transaction_id)
        self._history.close()
        self._wallet.close()
        return len(wallets), len(transactions)

    async def _check_wallet(self, journal: asyncpg.Connection, wallet_id: Any) -> None:
        rows = [tuple(row) for row in await journal.fetch(_ENTRIES, wallet_id, PAGE * PAGES_MAX)]
        wanted = [(version, str(transaction), delta, after) for version, transaction, delta, after in rows]
        actual = [_entry(entry) for entry in await self._entries(str(wallet_id))]
        what = "GET entries of wallet {}: {} entries, the journal has {}, or they differ"
        self._findings.judge("I6", what, wallet_id, len(actual), len(wanted), is_right=actual == wanted)
        balance = (await _get(self._wallet, f"/v1/wallets/{wallet_id}"))["balance"]["posted"]
        posted = from_text(balance["amount"], balance["currency"])
        newest = wanted[0][3] if wanted else 0
        what = "GET wallet {}: {}, the journal {}"
        self._findings.judge("I6", what, wallet_id, posted, newest, is_right=posted == newest)

    async def _entries(self, wallet_id: str) -> list[Mapping[str, Any]]:
        entries: list[Mapping[str, Any]] = []
        path = f"/v1/history/wallets/{wallet_id}/entries?limit={PAGE}"
        cursor = ""
        for _ in range(PAGES_MAX):
            page = await _get(self._history, path + cursor)
            entries += page["data"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={quote(page['next_cursor'])}"
        return entries

    async def _check_transaction(self, journal: asyncpg.Connection, transaction_id: Any) -> None:
        wanted = [tuple(row) for row in await journal.fetch(_TRANSACTION_ENTRIES, transaction_id)]
        body = await _get(self._history, f"/v1/history/transactions/{transaction_id}")
        actual = [_transaction_entry(entry) for entry in body["entries"]]
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


async def _get(pool: HttpPool, path: str) -> dict[str, Any]:
    """Return the body at *path*, asking again while the service cannot answer."""
    why = ""
    for _ in range(TRIES_MAX):
        try:
            answer = await pool.get(path)
        except ConnectionError as error:
            why = str(error)
            continue
        if answer.status == _OK:
            body: dict[str, Any] = _decode(answer.body)
            return body
        why = f"{answer.status} {answer.body.decode(errors='replace')}"
        await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
    raise DemoError(f"GET {path} was not answered: {why}")
