"""What the history makes for who keeps books, against the journal: exports, statements, totals, a trial balance."""

import asyncio
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

import msgspec
from pypdf import PdfReader

from demo.findings import Findings
from demo.http_client import HttpPool
from demo.money import from_text, to_text
from demo.reconcile import postgres
from demo.reconcile.asking import fetch, file_of_job, get, made
from demo.reconcile.rows import JournalRow, WalletRow
from demo.stack import Platform

CONNECTIONS: Final = 8
DOCUMENTS: Final = 3
"""Statements that are opened as PDF: those with most entries."""
_DAY: Final = timedelta(days=1)
_decode = msgspec.json.Decoder().decode


class Movement(NamedTuple):
    """What came into a wallet and went out of it, in minor units, neither negative."""

    entries: int = 0
    credits: int = 0
    debits: int = 0

    def after(self, delta: int) -> "Movement":
        """Return it with one more entry of *delta*."""
        return Movement(self.entries + 1, self.credits + max(delta, 0), self.debits + max(-delta, 0))


@dataclass(slots=True)
class AnswerFigures:
    """How much was compared."""

    exported: int = 0
    statements: int = 0
    documents: int = 0


@dataclass(slots=True)
class Books:
    """What the journal says of one tenant's wallets."""

    wallets: dict[UUID, WalletRow] = field(default_factory=dict)
    movements: dict[UUID, Movement] = field(default_factory=dict)
    accounts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """Minor units by currency and account."""
    first_at: datetime | None = None
    last_at: datetime | None = None

    def add(self, row: JournalRow) -> None:
        """Add an entry of a transaction."""
        if row.system_account is not None:
            self.accounts[row.currency, row.system_account] += row.posted_delta
            return
        self.accounts[row.currency, "wallets"] += row.posted_delta
        self.movements[row.account_id] = self.movements.get(row.account_id, Movement()).after(row.posted_delta)
        self.first_at = min(self.first_at or row.occurred_at, row.occurred_at)
        self.last_at = max(self.last_at or row.occurred_at, row.occurred_at)


async def read_books(platform: Platform) -> Books:
    """Return what the journal says of the wallets of the demo's own tenant."""
    books = Books()
    async with postgres.snapshot(platform.wallet_dsn) as connection:
        async for wallet in postgres.wallets(connection):
            books.wallets[wallet.id] = wallet
        async for row in _entries(connection):
            books.add(row)
    return books


async def _entries(connection: Any) -> AsyncIterator[JournalRow]:
    async for row in postgres.journal(connection):
        if row.transaction_id is not None:
            yield row


class AnswerCheck:
    """Compares what the history of a drained *platform* makes with *books*."""

    def __init__(self, platform: Platform, books: Books, findings: Findings) -> None:
        self._history = HttpPool(platform.history_url, connections=CONNECTIONS, credential=platform.credential)
        self._books = books
        self._judge: Callable[..., None] = findings.judge
        self.figures = AnswerFigures()

    async def run(self, until: datetime) -> AnswerFigures:
        """Compare everything; statements are closed up to *until*, behind which nothing has happened."""
        try:
            await self._check_exports()
            await self._check_totals()
            await self._check_trial_balance(until)
            await self._check_statements(until)
        finally:
            self._history.close()
        return self.figures

    async def _check_exports(self) -> None:
        entries = await file_of_job(self._history, "/v1/history/exports", {"dataset": "entries", "format": "jsonl"})
        told: dict[UUID, Movement] = {}
        for line in entries.splitlines():
            row = _decode(line)
            named = UUID(row["wallet_id"])
            told[named] = told.get(named, Movement()).after(from_text(row["amount"], row["currency"]))
        self.figures.exported = sum(movement.entries for movement in told.values())
        for moved, wanted in self._books.movements.items():
            what = "the export of entries has {} of wallet {}, the journal {}"
            self._judge("I6", what, told.get(moved), moved, wanted, is_right=told.get(moved) == wanted)
        self._judge("I6", "wallets in the export: {}", len(told), is_right=told.keys() == self._books.movements.keys())
        balances = await file_of_job(self._history, "/v1/history/exports", {"dataset": "balances", "format": "jsonl"})
        rows = {UUID(row["wallet_id"]): row for row in map(_decode, balances.splitlines())}
        for wallet_id, wallet in self._books.wallets.items():
            posted = rows.get(wallet_id, {}).get("balance_posted")
            known = to_text(wallet.posted_minor, wallet.currency)
            what = "the export of balances has {} of wallet {}, the ledger {}"
            self._judge("I6", what, posted, wallet_id, known, is_right=posted == known)

    async def _check_totals(self) -> None:
        """Compare the index's totals by currency, of the days on which something happened."""
        books = self._books
        if books.first_at is None or books.last_at is None:
            return
        begin, end = (
            datetime.combine(at.astimezone(UTC).date(), time(), UTC) for at in (books.first_at, books.last_at)
        )
        path = f"/v1/history/totals?by=currency&from={_text(begin)}&to={_text(end + _DAY)}"
        told = {
            row["currency"]: Movement(row["entries"], *(_minor(row[side]) for side in ("credits", "debits")))
            for row in (await get(self._history, path))["data"]
        }
        wanted: dict[str, Movement] = {}
        for wallet_id, movement in books.movements.items():
            currency = books.wallets[wallet_id].currency
            wanted[currency] = Movement(*map(sum, zip(wanted.get(currency, Movement()), movement, strict=True)))
        self._judge("I6", "the totals are {}, the journal's {}", told, wanted, is_right=told == wanted)

    async def _check_trial_balance(self, until: datetime) -> None:
        body = {"report": "trial_balance", "at": until.isoformat(), "format": "jsonl"}
        rows = [_decode(line) for line in (await file_of_job(self._history, "/v1/history/reports", body)).splitlines()]
        for row in rows:
            balance = from_text(row["balance"], row["currency"])
            known = 0 if row["account"] == "total" else self._books.accounts.get((row["currency"], row["account"]))
            what = "the trial balance has {} {} of {}, the journal {}"
            self._judge("I1", what, balance, row["currency"], row["account"], known, is_right=balance == known)
        told = {(row["currency"], row["account"]) for row in rows if row["account"] != "total"}
        self._judge("I1", "accounts of the trial balance: {}", told, is_right=told == self._books.accounts.keys())

    async def _check_statements(self, until: datetime) -> None:
        """Close a statement of every wallet, and open some as PDF."""
        wallets = iter(self._books.wallets.values())

        async def close() -> list[dict[str, Any]]:
            return [await self._closed(wallet, until) for wallet in wallets]

        closed = [each for some in await asyncio.gather(*(close() for _ in range(CONNECTIONS))) for each in some]
        self.figures.statements = len(closed)
        busiest = sorted(closed, key=lambda statement: -statement["entries"])[:DOCUMENTS]
        for statement in busiest:
            await self._check_document(statement)

    async def _closed(self, wallet: WalletRow, until: datetime) -> dict[str, Any]:
        body = {"wallet_id": str(wallet.id), "to": until.isoformat()}
        told = await made(self._history, "/v1/history/statements", body)
        movement = self._books.movements.get(wallet.id, Movement())
        sides = ("opening", "credits", "debits", "closing")
        found = (told["number"], told["entries"], *(_minor(told[side]) for side in sides))
        wanted = (1, movement.entries, 0, movement.credits, movement.debits, wallet.posted_minor)
        what = "the statement of wallet {}: {}, the journal {}"
        self._judge("I6", what, wallet.id, found, wanted, is_right=found == wanted)
        return told

    async def _check_document(self, statement: Mapping[str, Any]) -> None:
        path = f"/v1/history/statements/{statement['id']}/file?format=pdf"
        file = await fetch(self._history, path)
        text = _pdf_text(file.body)
        closing = statement["closing"]
        wanted = (statement["wallet_id"], _grouped(closing["amount"]))
        self._judge("I6", "the PDF {} lacks one of {}", path, wanted, is_right=all(each in text for each in wanted))
        self.figures.documents += 1


def _pdf_text(data: bytes) -> str:
    pages: Sequence[Any] = PdfReader(io.BytesIO(data)).pages
    return "\n".join(page.extract_text() for page in pages)


def _grouped(amount: str) -> str:
    """Return *amount* as documents in English have it."""
    whole, point, decimals = amount.removeprefix("-").partition(".")
    return ("\N{MINUS SIGN}" if amount.startswith("-") else "") + f"{int(whole):,}{point}{decimals}"


def _minor(money: Mapping[str, str]) -> int:
    return from_text(money["amount"], money["currency"])


def _midnight(instant: datetime) -> datetime:
    return datetime.combine(instant.astimezone(UTC).date(), time(), UTC)


def _text(instant: datetime) -> str:
    return quote(instant.isoformat())
