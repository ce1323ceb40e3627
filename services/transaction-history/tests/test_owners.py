"""What a caller that acts for some owners alone is shown: its own, and nothing that tells of what is not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import WalletClosed
from contracts.ids import new_id
from contracts.scopes import Kind
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.principal import Principal
from servicekit.read_model.projected import Projected
from servicekit.read_model.walking import Walk
from servicekit.tenant_pool import TenantPool
from testkit.access import principal_of
from testkit.databases import Database
from testkit.events import EPOCH, wallet_in
from testkit.plans import PlanningPool
from testkit.read_api import ReadApi, all_but
from transaction_history.domain.entry_filter import EntryFilter
from transaction_history.domain.totals import NOTHING
from transaction_history.projection.read_model_postgres import SCHEMA
from transaction_history.reads import balances, entries, holds, transactions, wallets
from transaction_history.reads.listing import TimedPosition, VersionPosition
from transaction_history.reads.targets import Target, Targets
from transaction_history.reads.view import View, Views

pytestmark = pytest.mark.integration

AT: Final = "2026-02-01T00:00:00Z"
UNKNOWN: Final = EventType(99, "wallet.unheard_of.v1", WalletClosed)


def acting_for(*owners: str, kind: Kind = Kind.USER) -> Principal:
    return principal_of(kind=kind, acts_for=frozenset(owners))


LIMITED: Final = (
    acting_for("carol"),
    acting_for(),
    acting_for("carol", kind=Kind.SERVICE),
    acting_for("carol", kind=Kind.OPERATOR),
)


@dataclass(frozen=True)
class Day:
    """Ann is deposited 10.00 and sends Bob 0.30."""

    anns: UUID
    bobs: UUID
    deposited: Envelope
    sent: Envelope
    received: Envelope


@pytest.fixture
async def day(bench: ReadApi) -> Day:
    anns, bobs = wallet_in(3), wallet_in(4)
    await bench.project(bench.stream.opened(anns, owner="ann"), bench.stream.opened(bobs, owner="bob"))
    deposited, system_entry = bench.stream.deposit(anns, 1_000, owner="ann")
    sent, received = bench.stream.transfer(anns, bobs, 30, owners=("ann", "bob"))
    await bench.project(deposited, system_entry, sent, received)
    return Day(anns, bobs, deposited, sent, received)


@pytest.mark.parametrize("caller", LIMITED, ids=["user", "of nobody", "service", "operator"])
async def test_what_is_anothers_is_answered_as_what_is_not_there(bench: ReadApi, day: Day, caller: Principal) -> None:
    nobodys, none = wallet_in(3), new_id()
    pairs: list[tuple[str, object, object]] = [
        ("wallets/{}/entries", day.anns, nobodys),
        (f"wallets/{{}}/balance?at={AT}", day.anns, nobodys),
        ("wallets/{}/balance?at=2020-01-01T00:00:00Z", day.anns, nobodys),
        ("transactions/{}", day.sent.transaction_id, none),
        ("transactions/{}", day.deposited.transaction_id, none),
        ("owners/{}/entries", "ann", "nil"),
        ("entries?owner_id={}", "ann", "nil"),
    ]

    with bench.asked_by(caller):
        for path, hidden, missing in pairs:
            answers = await bench.ask(path.format(hidden)), await bench.ask(path.format(missing))
            assert all_but(answers[0], hidden) == all_but(answers[1], missing), path
            assert answers[0].status_code == (200 if "owner" in path else 404), path


async def test_that_anothers_wallet_is_parked_is_not_told(bench: ReadApi, day: Day) -> None:
    await bench.project(bench.stream.event(UNKNOWN, day.anns, b"{}"))

    with bench.asked_by(acting_for("carol")):
        for path in (f"wallets/{day.anns}/entries", f"transactions/{day.sent.transaction_id}"):
            await bench.get(path, 404)
        assert (await bench.get("owners/ann/entries"))["data"] == []
    with bench.asked_by(acting_for("ann")):
        assert (await bench.get("owners/ann/entries", 503))["code"] == "wallet_parked"


async def test_who_acts_for_an_owner_reads_all_of_its(bench: ReadApi, day: Day) -> None:
    paths = (
        f"wallets/{day.anns}/entries",
        f"wallets/{day.anns}/balance?at={AT}",
        "owners/ann/entries",
        "entries?owner_id=ann",
        f"transactions/{day.deposited.transaction_id}",
        f"transactions/{day.sent.transaction_id}",
    )
    everything = [await bench.get(path) for path in paths]

    with bench.asked_by(acting_for("ann", "bob")):
        assert [await bench.get(path) for path in paths] == everything


def amount(of: str) -> Mapping[str, str]:
    return {"amount": of, "currency": "USD"}


def others(entry_index: int, wallet: UUID, moved: str) -> Mapping[str, Any]:
    """Return all that is shown of another's wallet."""
    return {
        "entry_index": entry_index,
        "wallet_id": str(wallet),
        "owner_id": None,
        "system_account": None,
        "amount": amount(moved),
        "balance_after": None,
        "version": None,
    }


async def test_of_the_payees_wallet_the_payer_sees_its_id_and_the_amount(bench: ReadApi, day: Day) -> None:
    with bench.asked_by(acting_for("ann")):
        found = await bench.get(f"transactions/{day.sent.transaction_id}")
        entries = (await bench.get(f"wallets/{day.anns}/entries"))["data"]

    own, other = found["entries"]
    assert (own["owner_id"], own["balance_after"], own["version"]) == ("ann", amount("9.70"), 3)
    assert other == others(1, day.bobs, "0.30")
    assert (found["complete"], found["reference"]) == (True, "order-1")
    assert entries[0]["counterparty"] == {"wallet_id": str(day.bobs), "owner_id": None, "system_account": None}


async def test_of_the_payers_wallet_the_payee_sees_its_id_and_the_amount(bench: ReadApi, day: Day) -> None:
    with bench.asked_by(acting_for("bob")):
        found = await bench.get(f"transactions/{day.sent.transaction_id}")
        entries = (await bench.get("owners/bob/entries"))["data"]

    other, own = found["entries"]
    assert (own["owner_id"], own["balance_after"], own["version"]) == ("bob", amount("0.30"), 2)
    assert other == others(0, day.anns, "-0.30")
    assert found["amount"] == amount("0.30")
    assert entries[0]["counterparty"] == {"wallet_id": str(day.anns), "owner_id": None, "system_account": None}


async def test_the_text_of_a_transaction_is_that_of_the_callers_own_entry(bench: ReadApi, day: Day) -> None:
    sent, _ = bench.stream.transfer(day.anns, day.bobs, owners=("ann", "bob"))
    await bench.project(sent)  # Bob's is still to come

    with bench.asked_by(acting_for("bob")):
        found = await bench.get(f"transactions/{sent.transaction_id}")
    with bench.asked_by(acting_for("ann")):
        hers = await bench.get(f"transactions/{sent.transaction_id}")

    texts = ("reference", "description", "metadata", "destination")
    assert (found["complete"], [found[text] for text in texts]) == (False, [None] * 4)
    assert found["entries"] == [others(0, day.anns, "-0.10")]
    assert hers["reference"] == "order-1"


async def test_a_cursor_is_bound_to_the_owners_it_was_given_for(bench: ReadApi, day: Day) -> None:
    for path in (f"wallets/{day.anns}/entries?limit=1", "owners/ann/entries?limit=1"):
        with bench.asked_by(acting_for("ann", "bob")):
            cursor = (await bench.get(path))["next_cursor"]
            assert (await bench.get(f"{path}&cursor={cursor}"))["data"]
        for caller in (acting_for("ann"), principal_of()):
            with bench.asked_by(caller):
                assert (await bench.get(f"{path}&cursor={cursor}", 400))["code"] == "invalid_cursor"


ANNS: Final = wallet_in(3)
DEPOSIT: Final = new_id()
LATER: Final = EPOCH.replace(year=EPOCH.year + 1)
BY_VERSION: Final[Walk[VersionPosition]] = Walk(None, is_back=False, is_included=False, limit=9)
BY_TIME: Final[Walk[TimedPosition]] = Walk(None, is_back=False, is_included=False, limit=9)
BY_HOLD: Final[Walk[holds.HoldPosition]] = Walk(None, is_back=False, is_included=False, limit=9)
Ask = Callable[[View], Awaitable[object]]
READS: Final[Mapping[str, Ask]] = {
    "wallet": lambda view: wallets.known_wallet(view, ANNS),
    "owner_shards": lambda view: wallets.owner_shards(view, "ann"),
    "owner_balances": lambda view: told(wallets.owner_balances(view, "ann"), "balances"),
    "wallets": lambda view: shown(wallets.list_wallets(view, wallets.WalletFilter(), BY_TIME)),
    "wallet_entries": lambda view: shown(entries.list_entries(view, EntryFilter(wallet_ids=(ANNS,)), BY_TIME)),
    "owner_entries": lambda view: shown(entries.list_entries(view, EntryFilter(owner_ids=("ann",)), BY_TIME)),
    "entries": lambda view: shown(entries.list_entries(view, EntryFilter(), BY_TIME)),
    "transaction": lambda view: told(transactions.transaction(view, DEPOSIT), "entries"),
    "transactions": lambda view: listed(view),  # noqa: PLW0108  defined below
    "holds": lambda view: shown(holds.wallet_holds(view, ANNS, (), BY_HOLD)),
    "state_changes": lambda view: shown(holds.wallet_state_changes(view, ANNS, BY_VERSION)),
    "balance_at": lambda view: told(balances.balance_at(view, ANNS, LATER), "standing"),
    "balance_of_version": lambda view: told(balances.balance_of_version(view, ANNS, 2), "standing"),
    "wallet_series": lambda view: told(balances.wallet_series(view, ANNS, [EPOCH, LATER]), "currencies"),
    "owner_series": lambda view: told(balances.owner_series(view, "ann", [EPOCH, LATER]), "currencies"),
}
OF_MANY: Final = {"wallets", "transactions", "entries"}
"""Lists that a caller of some owners is answered from these owners' keys."""


async def shown(page: Awaitable[Any]) -> object:
    return list((await page).page.rows)


async def listed(view: View) -> object:
    found = await transactions.list_transactions(view, transactions.TransactionFilter(), BY_TIME, newest_first=True)
    return [stated.row for stated in found.page.rows]


async def told(answer: Awaitable[Any], member: str) -> object:
    return getattr(await answer, member)


async def asked(views: Views, caller: Principal, ask: Ask) -> object:
    try:
        return await views.answer(caller, {}, ask)
    except (wallets.WalletUnknown, transactions.TransactionUnknown):
        return None


def views_of(tenants: TenantPool, projected: Projected) -> Views:
    primary = Target("primary", tenants, projected)
    return Views(Targets(primary, [], lag_ms_max=1_000, registry=CollectorRegistry()))


@asynccontextmanager
async def reader_of(database: Database) -> AsyncIterator[Pool]:
    settings = PoolSettings(dsn=database.dsn_reader, application_name="test", max_size=1)
    async with await open_pool(settings) as reader:
        yield reader


async def test_every_statement_compares_owners_for_itself(
    bench: ReadApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None relies on another that was run before it."""
    opened = bench.stream.opened(ANNS, owner="ann")
    await bench.project(opened, bench.stream.deposited(ANNS, owner="ann", transaction_id=DEPOSIT))
    await bench.project(*bench.stream.held(ANNS, ANNS, 5)[:1])

    async with reader_of(database) as reader, Projected(reader, SCHEMA) as projected:
        views = views_of(TenantPool(reader), projected)
        found = {name: await asked(views, acting_for("ann"), ask) for name, ask in READS.items()}
        for name, ask in READS.items():
            assert found[name] == await asked(views, principal_of(), ask), name
        for module in (holds, balances):
            monkeypatch.setattr(module, "known_wallet", always(found["wallet"]))
        for name, ask in READS.items():
            hidden = await asked(views, acting_for("carol"), ask)
            assert hidden in (None, [], NOTHING) or is_nothing(hidden), name
            assert found[name] != hidden, name


def always(wallet: object) -> Callable[..., Awaitable[object]]:
    async def known(*_: object) -> object:
        return wallet

    return known


def is_nothing(series: object) -> bool:
    return isinstance(series, list) and all(
        standing == NOTHING for currency in series for standing in currency.standings
    )


@pytest.mark.parametrize("is_analysed", [False, True])
async def test_a_limited_caller_is_answered_by_the_indexes_that_others_are(
    bench: ReadApi, database: Database, *, is_analysed: bool
) -> None:
    """An owner's other rows are not read for the sake of one, whatever is known of the tables."""
    others = [wallet_in(5) for _ in range(80)]
    await bench.project(*[bench.stream.opened(wallet, owner="ann") for wallet in (ANNS, *others)])
    for wallet in (ANNS, others[0]):
        await bench.project(*[bench.stream.deposited(wallet, owner="ann") for _ in range(500)])
    if is_analysed:
        connection = await asyncpg.connect(database.dsn_admin)
        await connection.execute("analyze")
        await connection.close()

    async with reader_of(database) as reader, Projected(reader, SCHEMA) as projected:
        for name, ask in READS.items():
            if name in OF_MANY:
                continue
            limited, every = PlanningPool(reader), PlanningPool(reader)
            await asked(views_of(limited, projected), acting_for("ann", "bob"), ask)
            await asked(views_of(every, projected), principal_of(), ask)
            assert limited.indexes == every.indexes, name
