"""Verification that never ends: new rows within a minute, all of the ledger in rounds, and no false alarm."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from services.wallet.tests.conftest import Fill
from structlog.testing import capture_logs

from contracts.ids import SHARDS
from servicekit.maintenance import InvariantMetrics, JobRun
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of
from wallet.bootstrap.catalog import CATALOG
from wallet.maintenance import verify_new, verify_whole
from wallet.maintenance.archive_postgres import open_archiver
from wallet.maintenance.findings import NAMES, Findings
from wallet.maintenance.folding import Folding
from wallet.maintenance.verify_new import NewRows
from wallet.maintenance.verify_whole import WholeLedger

pytestmark = pytest.mark.integration


@dataclass
class Verifier:
    """Both kinds of verification on one session of the app role, and what they have told."""

    session: asyncpg.Connection
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget all that a process remembers."""
        self.registry = CollectorRegistry()
        findings = Findings(InvariantMetrics(self.registry))
        self.new_rows, self.whole = NewRows(findings), WholeLedger(findings, rows_per_run=1_000_000)

    async def new(self) -> int:
        """Look at all rows that are new; return how many they were."""
        looked = 0
        while rows := await self.new_rows.run(JobRun(self.session, None)):
            looked += rows
        return looked

    async def round(self) -> None:
        """Go once over all of the ledger."""
        await self.session.execute("update wallet.verification_round set began_at = '-infinity'")
        before = await self.rounds()
        while await self.rounds() == before:
            await self.whole.run(JobRun(self.session, None))

    async def rounds(self) -> int:
        rounds: int = await self.session.fetchval("select rounds from wallet.verification_round")
        return rounds

    @property
    def found(self) -> set[str]:
        """The invariants of which breaches are shown."""
        shown = {each: self.registry.get_sample_value("invariant_violations", {"invariant": each}) for each in _NAMED}
        return {invariant for name, invariant in _NAMED.items() if shown[name]}

    def rows(self, invariant: str) -> float:
        return self.registry.get_sample_value("invariant_checked_rows_total", {"invariant": NAMES[invariant]}) or 0


_NAMED = {name: invariant for invariant, name in NAMES.items()}


@pytest.fixture
async def verifier(database: Database) -> AsyncIterator[Verifier]:
    """Give a verifier."""
    session = await asyncpg.connect(database.dsn_app)
    yield Verifier(session)
    await session.close()


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session that may do anything."""
    connection = await asyncpg.connect(database.dsn_admin)
    yield connection
    await connection.close()


async def some_life(client: Client) -> tuple[str, str]:
    payer, payee = await client.open(deposit="100"), await client.open()
    for _ in range(5):
        await client.post("/v1/transfers", transfer_of(payer, payee, "3"))
    await client.post("/v1/withdrawals", deposit_of(payee, "2"))
    return payer, payee


async def test_an_honest_ledger_is_looked_at_whole(client: Client, verifier: Verifier) -> None:
    await some_life(client)

    assert await verifier.new() == 16
    assert await verifier.new() == 0
    await verifier.round()
    await some_life(client)
    verifier.restart()
    assert await verifier.new() == 16
    await verifier.round()

    assert verifier.found == set()
    assert verifier.rows("I4") == 16 + 32


_OF = """
    update wallet.journal set {} where account_id = $1
       and version = (select max(version) from wallet.journal where account_id = $1)"""
_BREACHES = {
    "a sum": ("I1", _OF.format("posted_delta = posted_delta - 1, posted_after = posted_after - 1")),
    "an entry": ("I1", _OF.format("entry_count = entry_count + 1")),
    "a row": ("I2", "update wallet.wallet set posted_minor = posted_minor + 1 where id = $1"),
    "a wallet": ("I2", "delete from wallet.wallet where id = $1"),
    "a balance": ("I2", _OF.format("posted_after = posted_after + 1")),
    "a floor": ("I3", _OF.format("posted_after = -1, posted_delta = -1301")),
    "a version": ("I4", _OF.format("version = version + 7")),
    "a sequence": ("I4", "delete from wallet.journal where account_id = $1 and version = 3"),
}


@pytest.mark.parametrize(("invariant", "tampering"), _BREACHES.values(), ids=_BREACHES)
@pytest.mark.parametrize("looks", ["new", "round"])
async def test_a_breach_is_named(
    client: Client, verifier: Verifier, admin: asyncpg.Connection, *, looks: str, invariant: str, tampering: str
) -> None:
    _, payee = await some_life(client)
    assert not (await admin.execute(tampering, payee)).endswith(" 0"), "the tampering must bite"

    with capture_logs() as logs:
        await (verifier.new() if looks == "new" else verifier.round())

    assert invariant in verifier.found
    told = [line for line in logs if line.get("invariant") == NAMES[invariant]]
    assert told
    assert all(line["log_level"] == "error" for line in told)


async def test_a_wallet_that_was_changed_between_two_looks_is_named(
    client: Client, verifier: Verifier, admin: asyncpg.Connection
) -> None:
    payer, payee = await some_life(client)
    await verifier.new()
    await admin.execute(
        "update wallet.wallet set posted_minor = posted_minor + 100, stamp = stamp + 1 where id = $1", payer
    )
    await client.post("/v1/transfers", transfer_of(payer, payee, "1"))

    with capture_logs() as logs:
        await verifier.new()

    assert verifier.found == {"I2"}
    [told] = [line for line in logs if line["event"] == "ledger.invariant_broken"]
    assert payer in told["place"]
    assert None not in {told["shard"], told["seq"]}


async def test_a_breach_is_shown_until_a_round_finds_none(
    client: Client, verifier: Verifier, admin: asyncpg.Connection
) -> None:
    payer, _ = await some_life(client)
    await admin.execute("update wallet.wallet set posted_minor = posted_minor + 1 where id = $1", payer)
    await verifier.round()
    assert verifier.found == {"I2"}
    await admin.execute("update wallet.wallet set posted_minor = posted_minor - 1 where id = $1", payer)
    await verifier.round()
    assert verifier.found == set()


async def test_a_round_goes_on_from_its_place(
    client: Client, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_life(client)
    monkeypatch.setattr(verifier.whole, "_rows_per_run", 1)

    async def place() -> tuple[int, int]:
        row = await verifier.session.fetchrow("select rounds, shard from wallet.verification_round")
        assert row is not None
        return row["rounds"], row["shard"]

    for shard in range(1, SHARDS):
        verifier.restart()
        monkeypatch.setattr(verifier.whole, "_rows_per_run", 1)
        await verifier.whole.run(JobRun(verifier.session, None))
        assert await place() == (0, shard)
    verifier.restart()
    while await verifier.rounds() == 0:
        await verifier.whole.run(JobRun(verifier.session, None))
    assert await verifier.whole.run(JobRun(verifier.session, None)) == 0, "a round rests before the next"


async def test_no_false_alarm_under_load(client: Client, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_new, "REMEMBERED_MAX", 2)
    wallets = [await client.open(deposit="1000") for _ in range(12)]
    is_over = asyncio.Event()

    async def load() -> None:
        for turn in range(40):
            pairs = zip(wallets, [*wallets[turn % 11 + 1 :], *wallets[: turn % 11 + 1]], strict=True)
            await client.post_all([("/v1/transfers", transfer_of(payer, payee, "1")) for payer, payee in pairs])
        is_over.set()

    async def look() -> None:
        while not is_over.is_set():
            await verifier.new()
            await verifier.round()

    await asyncio.gather(load(), look())
    await verifier.new()

    assert verifier.found == set()
    assert verifier.rows("I1") > 480


@pytest.mark.parametrize("bound", [1, 3])
async def test_looks_that_end_in_the_middle_of_transactions_find_nothing(
    client: Client, verifier: Verifier, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    await some_life(client)
    monkeypatch.setattr(verify_new, "ROWS_PER_SHARD", bound)
    monkeypatch.setattr(verify_new, "_ROWS", verify_new._ROWS.replace("limit 128", f"limit {bound}"))

    assert await verifier.new_rows.run(JobRun(verifier.session, None)) <= bound * SHARDS
    verifier.restart()
    assert await verifier.new() > 0
    assert verifier.found == set()


async def test_what_is_archived_is_not_missed(
    client: Client, verifier: Verifier, database: Database, fill: Fill
) -> None:
    await fill(70)
    await verifier.round()
    async with open_archiver(database.dsn_owner, Folding(CATALOG.facts, CATALOG.kinds)) as archiver:
        await archiver.archive(await archiver.oldest(), lambda _rows: None)
    await some_life(client)

    with capture_logs() as logs:
        await verifier.new()
    await verifier.round()

    assert verifier.found == set()
    skipped = [line for line in logs if line["event"] == "ledger.archived_unverified"]
    assert len(skipped) == SHARDS, "they were archived before anybody looked"


async def test_a_process_that_lost_its_lease_moves_no_cursor(client: Client, verifier: Verifier) -> None:
    await some_life(client)
    assert verify_whole.ROUND_S > 60

    class Lost(JobRun):
        def transaction(self) -> object:  # type: ignore[override]  # it never opens one
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await verifier.new_rows.run(Lost(verifier.session, None))

    assert await verifier.session.fetchval("select sum(seq) from wallet.verified") == 0
    assert await verifier.new() == 16
    assert verifier.found == set()
