"""Carrying out what was decided: each fact's one transition, on the rows of a batch."""

from datetime import datetime
from uuid import UUID

from contracts.events import Private
from wallet.domain.facts import AnyFact, Fact, RowFact, SystemEntry
from wallet.domain.outcomes import Accepted
from wallet.domain.rows import Rows, StateRow
from wallet.domain.texts import stored_text
from wallet.domain.wallets import Wallet

Carried = tuple[list[tuple[AnyFact, Wallet]], list[StateRow], list[UUID]]
"""What facts did: each with its wallet as it left it, the rows of other kinds that they changed, and the wallets of
which more changed than their money."""


def carry_out(accepted: Accepted, rows: Rows, now: datetime, private: Private | None) -> Carried:
    """Make the transitions of the facts in *rows*, in their order, and then what is counted.

    *private* is the free text of all of them.
    """
    facts: list[tuple[AnyFact, Wallet]] = []
    states: list[StateRow] = []
    remade: list[UUID] = []
    for fact in accepted.facts:
        wallet_id = fact.wallet_id
        before = rows.get(wallet_id)
        assert not isinstance(before, StateRow)
        if isinstance(fact, SystemEntry):
            assert before is not None
            facts.append((fact, before))
            continue
        told: Fact = fact
        if not fact.moves_only:
            told = fact.keeping(stored_text(private)) if fact.keeps_text else fact
            if fact.changes_states:
                changed = told.evolve_states(rows, now if before is None else max(now, before.last_at))
                rows.update((state.name, state) for state in changed)
                states.extend(changed)
                told = told.leaving(changed)
        wallet = rows[wallet_id] = told.evolve(before, now)
        facts.append((told, wallet))
        if fact.remakes or before is None or wallet.floor_waived is not before.floor_waived:
            remade.append(wallet_id)
    for usage in accepted.usages:
        usage.apply(rows, now)
    return facts, states, remade


def carry_out_row(fact: RowFact, rows: Rows, now: datetime) -> StateRow:
    """Make the transition of a row that has events of its own; return it as the fact left it."""
    before = rows[fact.name]
    assert not isinstance(before, Wallet)
    after = rows[fact.name] = fact.evolve(before, now)
    return after
