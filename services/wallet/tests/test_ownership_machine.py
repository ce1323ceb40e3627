"""Whose money moves: the machine of ownership on the rules alone and on the committer, and bugs that it catches."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from services.wallet.tests import ownership_machine as machine
from services.wallet.tests.ledgers import LedgerAtWork, LedgerInMemory, LedgerInPostgres

from testkit.databases import TemplateDatabase
from wallet.application.plan import BatchPlan
from wallet.domain.commands import Context
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.mandate import Mandate
from wallet.domain.wallets import Restriction
from wallet.entrypoints.bodies import EntryBody, entry_body
from wallet.maintenance.verify_postgres import verify

IN_MEMORY: Final = settings(
    max_examples=100,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
IN_POSTGRES: Final = settings(IN_MEMORY, max_examples=25, stateful_step_count=30)
PLANTED: Final = settings(IN_MEMORY, phases=[Phase.generate], report_multiple_bugs=False)


def drive(loop: asyncio.AbstractEventLoop, make_ledger: Callable[[], LedgerAtWork], bounds: settings) -> None:
    """Run the machine on ledgers that *make_ledger* makes; raises Breach."""
    here = {"loop": loop, "make_ledger": staticmethod(make_ledger)}
    run_state_machine_as_test(type("MachineHere", (machine.OwnershipMachine,), here), settings=bounds)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that the machine's rules, which are not coroutines, can drive."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_nobody_reaches_what_is_anothers_by_the_rules(loop: asyncio.AbstractEventLoop) -> None:
    drive(loop, LedgerInMemory, IN_MEMORY)


@pytest.mark.integration
@pytest.mark.parametrize("pipelining", [True, False], ids=["ahead", "locked"])
def test_nobody_reaches_what_is_anothers_in_postgres(
    wallet_template: TemplateDatabase, loop: asyncio.AbstractEventLoop, *, pipelining: bool
) -> None:
    context = wallet_template.database()
    database = loop.run_until_complete(context.__aenter__())
    try:
        drive(loop, lambda: LedgerInPostgres(database, pipelining=pipelining), IN_POSTGRES)
        report = loop.run_until_complete(verify(database.dsn_app, lambda _rows: None))
        assert report.holds, report.findings
        assert report.rows > 0
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))


# -- bugs, each of which must be caught by the check that is about it


def for_everybody(mandate: Mandate) -> Mandate:
    return msgspec.structs.replace(mandate, owners=None)


def leave_the_owner_out_of_decisions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Context, "own", Context.any)


def leave_the_owner_out_of_commands_of_batches(patch: pytest.MonkeyPatch) -> None:
    attempt = BatchPlan._attempt

    def of_everybody(self: BatchPlan, unit: Any, command: Any) -> Any:
        is_let_through = unit.is_atomic_batch and not isinstance(command, OpenWallet)
        widened = replace(unit, mandate=for_everybody(unit.mandate)) if is_let_through else unit
        return attempt(self, widened, command)

    patch.setattr(BatchPlan, "_attempt", of_everybody)


def keep_the_mandate_of_the_unit_before(patch: pytest.MonkeyPatch) -> None:
    attempt = BatchPlan._attempt

    def of_the_first(self: BatchPlan, unit: Any, command: Any) -> Any:
        first = self._units[0].mandate
        is_kept = first.tenant_id == unit.mandate.tenant_id and not isinstance(command, OpenWallet)
        return attempt(self, replace(unit, mandate=first) if is_kept else unit, command)

    patch.setattr(BatchPlan, "_attempt", of_the_first)


def leave_the_owner_out_of_openings(patch: pytest.MonkeyPatch) -> None:
    decide = OpenWallet.decide

    def for_anybody(self: OpenWallet, rows: Any, context: Context) -> Any:
        return decide(self, rows, msgspec.structs.replace(context, mandate=for_everybody(context.mandate)))

    patch.setattr(OpenWallet, "decide", for_anybody)


def keep_what_a_refused_batch_did(patch: pytest.MonkeyPatch) -> None:
    plan = BatchPlan._plan_atomic_batch

    def not_taken_back(self: BatchPlan, unit: Any) -> Any:
        rows = self._rows
        result = plan(self, unit)
        self._rows = rows
        return result

    patch.setattr(BatchPlan, "_plan_atomic_batch", not_taken_back)


def tell_what_is_anothers_from_nothing(patch: pytest.MonkeyPatch) -> None:
    frozen = (Restriction("operator", "all", "not yours"),)

    def told_apart(self: Context, rows: Any, wallet_id: Any) -> Any:
        found = self.any(rows, wallet_id)
        if found is None or self.mandate.covers(found.owner_id):
            return found
        return msgspec.structs.replace(found, restrictions=frozen)

    patch.setattr(Context, "own", told_apart)


def show_the_payees_balance(patch: pytest.MonkeyPatch) -> None:
    def of_everybody(fact: Any, wallet: Any, mandate: Mandate) -> EntryBody:
        return entry_body(fact, wallet, for_everybody(mandate))

    patch.setattr("wallet.entrypoints.rendering.entry_body", of_everybody)


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        # Whichever the machine comes upon first: what was taken, that a refusal tells another's from nothing, or, where
        # a mandate is too narrow, that its owner is refused; where it is too wide, that it is shown too much.
        (leave_the_owner_out_of_decisions, f"({machine.TAKEN}|{machine.APART})"),
        (leave_the_owner_out_of_commands_of_batches, f"({machine.TAKEN}|{machine.APART})"),
        (keep_the_mandate_of_the_unit_before, f"({machine.TAKEN}|{machine.APART}|{machine.ANSWERED}|{machine.SHOWN})"),
        (leave_the_owner_out_of_openings, machine.OPENED),
        (keep_what_a_refused_batch_did, machine.CHANGED),
        (tell_what_is_anothers_from_nothing, machine.APART),
        (show_the_payees_balance, machine.SHOWN),
    ],
    ids=lambda given: given.__name__ if callable(given) else "",
)
def test_a_planted_bug_is_caught_by_the_check_that_is_about_it(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    check: str,
) -> None:
    plant(monkeypatch)

    with pytest.raises(machine.Breach, match=f"^{check}: "):
        drive(loop, LedgerInMemory, PLANTED)
