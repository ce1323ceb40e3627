"""The reconciliation: every check of a drained platform, in order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from demo import stack
from demo.reconcile import kafka, ledger, money, postgres, read_model
from demo.reconcile.answers import AnswerCheck, AnswerFigures, read_books
from demo.reconcile.api import ApiCheck
from demo.reconcile.decisions import DecisionCheck, DecisionFigures
from demo.reconcile.rows import WalletRow
from demo.reconcile.streams import each, grouped
from demo.reconcile.topic import TopicFigures, check_partition
from demo.reconcile.webhooks import WebhookCheck, WebhookFigures
from demo.session import Session
from demo.stack import Platform
from demo.subscriber import Subscriber
from servicekit.clock import utc_now


@dataclass(slots=True)
class Reconciled:
    """How much was compared."""

    journal_rows: int = 0
    transactions: int = 0
    wallets: int = 0
    read_model_rows: int = 0
    read_model_wallets: int = 0
    wallets_asked: int = 0
    transactions_asked: int = 0
    holds: int = 0
    refunded: int = 0
    limits: int = 0
    topic: TopicFigures = field(default_factory=TopicFigures)
    decisions: DecisionFigures = field(default_factory=DecisionFigures)
    answers: AnswerFigures = field(default_factory=AnswerFigures)
    webhooks: WebhookFigures = field(default_factory=WebhookFigures)
    hashes: Mapping[str, tuple[int, str]] = field(default_factory=dict)


class Reconciliation:
    """Compares the parts of *platform* with each other, with the session's record and with what the subscriber got.

    *on_step* is called with the name of each next step.
    """

    def __init__(
        self, platform: Platform, session: Session, subscriber: Subscriber, on_step: Callable[[str], None]
    ) -> None:
        self._platform = platform
        self._session = session
        self._record = session.record
        self._findings = session.findings
        self._subscriber = subscriber
        self._on_step = on_step
        self._result = Reconciled()

    async def run(self, environment: Mapping[str, str], rebuild_log: Path) -> Reconciled:
        """Check everything; *environment* is that of the rebuild, whose output goes to *rebuild_log*."""
        ended_at = utc_now()  # what is played has come, and nothing follows
        self._on_step("the decisions")
        restricted = self._record.restrict(self._session.tripped)
        expected = [UUID(bytes=wallet.id_bytes) for wallet in restricted if wallet.id_bytes is not None]
        self._result.decisions = await DecisionCheck(self._platform, expected, self._findings).run()
        self._on_step("the webhooks")
        self._result.webhooks = await WebhookCheck(self._platform, self._subscriber, self._findings).run()
        self._on_step("the ledger: fold, floors, densities")
        await self._fold()
        self._on_step("the ledger: sums, and what was acknowledged")
        await self._account()
        self._on_step("the ledger: holds, refunds, system accounts")
        await self._check_money()
        self._on_step("the topic")
        await self._check_topic()
        self._on_step("the read model")
        await self._check_read_model()
        self._on_step("the read model, rebuilt")
        await self._rebuild(environment, rebuild_log)
        self._on_step("the APIs")
        asked = await ApiCheck(self._platform, self._findings).run(self._session.kept.used)
        self._result.wallets_asked, self._result.transactions_asked, self._result.limits = asked
        self._on_step("exports, reports and statements")
        books = await read_books(self._platform)
        self._result.answers = await AnswerCheck(self._platform, books, self._findings).run(ended_at)
        return self._result

    async def _fold(self) -> None:
        async with postgres.snapshot(self._platform.wallet_dsn) as connection:
            wallets = grouped(postgres.wallets_by_shard(connection), lambda row: _shard_of(row.id))
            ahead = await anext(wallets, None)
            for shard in range(postgres.SHARDS):
                known: dict[UUID, WalletRow] = {}
                if ahead is not None and ahead[0] == shard:
                    known = {row.id: row for row in ahead[1]}
                    ahead = await anext(wallets, None)
                fold = ledger.ShardFold(known, self._findings)
                async for row in postgres.journal_of_shard(connection, shard):
                    fold.add(row)
                    self._result.journal_rows += 1
                fold.finish()

    async def _account(self) -> None:
        async with postgres.snapshot(self._platform.wallet_dsn) as connection:
            self._result.transactions = await ledger.check_transactions(
                postgres.entries_by_transaction(connection), each(self._record.transactions()), self._findings
            )
            self._result.wallets = await ledger.check_wallets(
                postgres.wallets(connection), each(self._record.wallets()), self._findings
            )

    async def _check_money(self) -> None:
        kept, findings = self._session.kept, self._findings
        async with (
            postgres.snapshot(self._platform.wallet_dsn) as source,
            postgres.snapshot(self._platform.history_dsn) as model,
        ):
            self._result.holds = await money.check_holds(postgres.holds(source), kept.holds, findings)
            await money.check_held(postgres.held(source), findings)
            projected = await postgres.projected_refunds(model)
            rows = postgres.refunded(source)
            self._result.refunded = await money.check_refunded(rows, kept.taken_back, projected, findings)
            accounts, told = await postgres.accounts(source), await postgres.projected_accounts(model)
            money.check_accounts(accounts, told, kept.accounts, findings)

    async def _check_topic(self) -> None:
        async with (
            postgres.snapshot(self._platform.wallet_dsn) as connection,
            kafka.reader(self._platform.kafka) as consumer,
        ):
            partitions = kafka.partitions(consumer)
            for partition in partitions:
                shards = range(partition.partition, postgres.SHARDS, len(partitions))
                journals = {shard: postgres.journal_of_shard(connection, shard) for shard in shards}
                events = kafka.events(consumer, partition, self._findings)
                await check_partition(events, journals, self._findings, self._result.topic)

    async def _check_read_model(self) -> None:
        async with (
            postgres.snapshot(self._platform.wallet_dsn) as source,
            postgres.snapshot(self._platform.history_dsn) as model,
        ):
            self._result.read_model_rows = await read_model.check_rows(
                postgres.journal(source), postgres.projected_rows(model), self._findings
            )
            self._result.read_model_wallets = await read_model.check_wallets(
                postgres.wallets(source), postgres.projected_wallets(model), self._findings
            )

    async def _rebuild(self, environment: Mapping[str, str], log: Path) -> None:
        before = await postgres.hashes(self._platform.history_dsn)
        is_equal = await asyncio.to_thread(stack.rebuild, self._platform, environment, log)
        self._findings.judge("I8", "the rebuild failed or found differences: see {}", log, is_right=is_equal)
        after = await postgres.hashes(self._platform.history_dsn)
        for table, total_before in before.items():
            what = "table {}: {} rows and hash before, {} after"
            self._findings.judge("I8", what, table, total_before, after[table], is_right=total_before == after[table])
        self._result.hashes = after


def _shard_of(wallet_id: UUID) -> int:
    return wallet_id.bytes[-1] % postgres.SHARDS
