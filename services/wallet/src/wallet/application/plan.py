"""Planning a batch: units decided one after another on the rows they name, and all that is to be written."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from contracts.envelope import rfc3339
from contracts.ids import shard_of
from wallet.application.carrying import carry_out, carry_out_row
from wallet.application.journal import row_change_row, state_change_rows, transaction_rows
from wallet.application.ports import CarriedOut, Renderer
from wallet.application.private import private_text
from wallet.application.rows import (
    BatchInput,
    BatchRows,
    IdempotencyRow,
    JournalRow,
    KnownRow,
    RaisedRow,
    ReferenceRow,
    Stamps,
    moved_wallet,
    row_places,
)
from wallet.application.units import (
    AheadOfClock,
    Answer,
    Done,
    KeyReused,
    Outcome,
    Refused,
    Result,
    Stored,
    Unit,
    UnitKey,
    keys_of,
    named_by,
    undone_unit,
)
from wallet.domain.commands import Command, Context, Ids, decide
from wallet.domain.mandate import platform_mandate
from wallet.domain.outcomes import Accepted, Decision, Missing, Rejected, Undone, Unnamed
from wallet.domain.owners import owner_names
from wallet.domain.policy import policy_in_force
from wallet.domain.rows import RowName, Rows, StateName, StateRow, UnnamedRowError
from wallet.domain.wallets import Wallet

HashReference = Callable[[UUID, str], bytes]
"""Keyed hash of a tenant's reference: references are found by it and never indexed in clear."""

CLOCK_AHEAD_MAX: Final = timedelta(seconds=10)
"""How far a wallet's newest event may be ahead of the database's clock: a clock that was set right, not one that was
wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What every plan of a process is made with. *draw_stamp* returns 63 random bits."""

    ids: Ids
    draw_stamp: Callable[[], int]
    hash_reference: HashReference
    renderer: Renderer
    clock_ahead_max: timedelta = CLOCK_AHEAD_MAX


class _Answered(msgspec.Struct, frozen=True):
    """What was decided of a command or a unit; its journal rows are in the plan."""

    result: Result
    answer: Answer
    resource_id: UUID | None


_DONE: Final = Done()
_NOBODY: Final = UUID(int=0)
_NOBODYS: Final = platform_mandate(_NOBODY)
_NOT_READ: Final = Missing("row", _NOBODY)
"""What stands in a void plan for what cannot be decided: nothing is written of it."""
_CLAIMED: Final[Answer] = (0, b"")
"""What is stored under an independent batch's own key: the answers of its commands are stored under theirs."""


class _ToWrite(msgspec.Struct, frozen=True):
    """An outcome whose sequence numbers the database has yet to give; *last_rows* are numbered from 1."""

    answered: _Answered
    last_rows: list[int]


class BatchPlan:
    """Plan of one attempt at one batch. Call it once with its input; `outcomes` takes the sequence numbers."""

    def __init__(self, units: Sequence[Unit], planning: Planning) -> None:
        self._units = units
        self._planning = planning
        self._renderer = planning.renderer
        self._stamp = planning.draw_stamp()
        self._rows = Rows()
        self._remade: set[RowName] = set()  # the wallets of which more changed than their money
        self._journal: list[JournalRow] = []
        self._shards: list[int] = []
        self._references: list[ReferenceRow] = []
        self._idempotency: list[IdempotencyRow] = []
        self._has_claims = any(unit.claim is not None for unit in units)
        self._printed: dict[UnitKey, bytes] = {}  # by the keys that the plan writes, where there are claims among them
        self.claimed: set[UnitKey] = set()
        """The keys of independent batches that the plan writes: other batches may hold more of their commands."""
        self.unnamed: set[RowName] = set()
        """Rows that a rule needs and nobody read. While there are any, the plan is void: decide again with them."""
        self._results: list[Outcome | _ToWrite] = []
        self._ahead: dict[RowName, Wallet] = {}
        self._raised: list[RaisedRow] = []

    def __call__(self, given: BatchInput) -> BatchRows:
        """Decide every unit and return all that is to be written."""
        self._given = given
        self._now = given.now
        self._context = self._nobodys_context()
        self._now_text = rfc3339(given.now)
        self._rows = given.rows.copy()
        self._ahead = {
            name: row for name, row in given.rows.items() if isinstance(row, Wallet) and row.last_at > given.now
        }
        self._results = [self._plan_unit(unit) for unit in self._units]
        if self.unnamed:  # a rule tells the first that it misses: what these rows name, and their owners, all at once
            named = named_by(self._units, given.rows)
            for tenant_id in {unit.tenant_id for unit in self._units}:
                named |= owner_names(given.rows, tenant_id)
            self.unnamed |= named - given.rows.keys()
        rows = BatchRows(
            now=self._now,
            stamp=self._stamp,
            opened=[],
            moved=[],
            changed=[],
            made_states=[],
            changed_states=[],
            shards=self._shards,
            journal=self._journal,
            references=self._references,
            idempotency=self._idempotency if not self.unnamed else [],
            raised=self._raised,
        )
        self._add_changed(rows)
        return rows

    @property
    def ahead_of_clock(self) -> Collection[Wallet]:
        """The named wallets whose newest event is later than the batch's time."""
        return self._ahead.values()

    @property
    def expected(self) -> Stamps:
        """The stamps of the rows that the batch was decided on, as they were before it."""
        return self._given.stamps

    @property
    def after(self) -> Mapping[RowName, KnownRow]:
        """Every row that the batch names or makes, as the batch leaves it, with its stamp; what is not there, too.

        A wallet that is not there is not remembered.
        """
        stamps, before = self._given.stamps, self._given.rows
        return {
            name: KnownRow(row, self._stamp if row is not before.get(name) else stamps[name])
            for name, row in self._rows.items()
            if row is not None or isinstance(name, StateName)
        }

    @property
    def now(self) -> datetime:
        """The time at which all of the batch happens."""
        return self._now

    @property
    def free_keys(self) -> list[UnitKey]:
        """The keys that were taken to be free and are not written: that they are free is to be checked."""
        keys, found = keys_of(self._units), self._given.keys
        if len(keys) == len(self._idempotency):
            return []  # all are written, and their insert finds out which was taken
        written = {row[:3] for row in self._idempotency}
        return [key for key in keys if key not in written and key not in found]

    @property
    def writes_nothing(self) -> bool:
        """Whether all of it was answered before: there is nothing to write or to check."""
        return not self._idempotency and not self.free_keys

    def outcomes(self, sequences: Sequence[int]) -> list[Outcome]:
        """Return each unit's outcome, given the *sequences* of the journal rows."""
        return [self._stored(result, sequences) if isinstance(result, _ToWrite) else result for result in self._results]

    def preview(self) -> list[Outcome]:
        """Return the outcomes of a plan that is not written: they have no positions."""
        return [
            Stored(result.answered.result, result.answered.answer, None, (), is_replayed=False)
            if isinstance(result, _ToWrite)
            else result
            for result in self._results
        ]

    # -- the rows

    def _add_changed(self, rows: BatchRows) -> None:
        """Add what is written of every row that the batch makes or changes."""
        before, stamps = self._given.rows, self._given.stamps
        for name, row in self._rows.items():
            if row is None or row is before.get(name):
                continue
            stamp_before = stamps.get(name)
            if isinstance(row, StateRow):
                (rows.made_states if stamp_before is None else rows.changed_states).append(row)
            elif stamp_before is None:
                rows.opened.append(row)
            elif name in self._remade:
                rows.changed.append(row)
            else:
                rows.moved.append(moved_wallet(row, stamp_before))

    # -- units

    def _stored(self, result: _ToWrite, sequences: Sequence[int]) -> Stored:
        positions = tuple((self._shards[number - 1], sequences[number - 1]) for number in result.last_rows)
        answered = result.answered
        return Stored(answered.result, answered.answer, answered.resource_id, positions, is_replayed=False)

    def _plan_unit(self, unit: Unit) -> Outcome | _ToWrite:
        if self._has_claims or (self._given.keys and unit.key in self._given.keys):
            found = self._found_under_keys(unit)
            if found is not None:
                return found
        ahead = self._too_far_ahead(unit) if self._ahead else None
        if ahead is not None:
            return ahead
        if unit.is_atomic_batch:
            return self._plan_atomic_batch(unit)
        first_row = len(self._journal)
        attempt = self._attempt(unit, unit.commands[0])
        if isinstance(attempt, _Answered):
            return self._remember(unit, attempt, first_row)
        if isinstance(attempt, Rejected):
            answered = _Answered(Refused(attempt.code), self._renderer.rejected(attempt, unit.path), None)
            return self._remember(unit, answered, first_row, attempt.subject.id)
        return undone_unit(attempt, None)

    def _found_under_keys(self, unit: Unit) -> Outcome | None:
        """Return what is stored under the keys of *unit*, KeyReused for another request's, None if they are free."""
        if unit.claim is not None and self._print_of(unit.claim.key) not in {None, unit.claim.fingerprint}:
            return KeyReused(by_batch=True)
        if self._print_of(unit.key) not in {None, unit.fingerprint}:
            return KeyReused()
        record = self._given.keys.get(unit.key)
        if record is None:
            return None
        result = self._renderer.result_of(record.answer)
        return Stored(result, record.answer, record.resource_id, record.positions, is_replayed=True)

    def _print_of(self, key: UnitKey) -> bytes | None:
        """Return the fingerprint of the request that *key* stands for already, None where it is free."""
        record = self._given.keys.get(key)
        return self._printed.get(key) if record is None else record.fingerprint

    def _too_far_ahead(self, unit: Unit) -> AheadOfClock | None:
        """Return that *unit* would move money at a time that is not believed; None for a command that moves none."""
        latest = self._now + self._planning.clock_ahead_max
        for command in unit.commands:
            if command.moves_money:
                for name in command.names(self._rows):
                    wallet = self._ahead.get(name)
                    if wallet is not None and wallet.last_at > latest:
                        return AheadOfClock(wallet.id)
        return None

    def _plan_atomic_batch(self, unit: Unit) -> Outcome | _ToWrite:
        """Decide all commands of *unit* or none: the first refusal takes back what the others did."""
        rows = self._rows.copy()
        marks = len(self._journal), len(self._references), len(self._raised)
        answers = []
        for index, command in enumerate(unit.commands):
            attempt = self._attempt(unit, command)
            if isinstance(attempt, _Answered):
                answers.append(attempt.answer)
                continue
            if self.unnamed:
                continue  # the plan is void: the commands behind this one tell what they need, too
            self._rows, self._context = rows, self._nobodys_context()  # the policy is what it was, too
            del self._journal[marks[0] :], self._references[marks[1] :], self._raised[marks[2] :]
            if isinstance(attempt, Undone):
                return undone_unit(attempt, index)
            answer = self._renderer.rejected_batch(attempt, index, unit.path)
            answered = _Answered(Refused(attempt.code), answer, None)
            return self._remember(unit, answered, marks[0], attempt.subject.id)
        return self._remember(unit, _Answered(_DONE, self._renderer.batch(answers), None), marks[0])

    # -- commands

    def _attempt(self, unit: Unit, command: Command) -> _Answered | Rejected | Undone:
        """Decide *command*; where it is accepted, add its rows to the plan."""
        decision = self._decide(unit, command)
        if isinstance(decision, Accepted):
            return self._accept(unit, command, decision)
        if isinstance(decision, Unnamed):
            self.unnamed.add(decision.name)
            return _NOT_READ
        return decision

    def _decide(self, unit: Unit, command: Command) -> Decision:
        if unit.mandate is not self._context.mandate:
            try:
                policy = policy_in_force(self._rows, unit.tenant_id)
            except UnnamedRowError as error:
                return Unnamed(error.name)
            self._context = Context(unit.mandate, self._now, self._planning.ids, policy)
        return decide(command, self._rows, self._context)

    def _accept(self, unit: Unit, command: Command, accepted: Accepted) -> _Answered:
        """Carry out the facts, and add their journal rows."""
        private = None if accepted.text is None else private_text(accepted.text)
        transaction_id = accepted.transaction_id
        carried, states, remade = carry_out(accepted, self._rows, self._now, private)
        if remade:
            self._remade.update(remade)
        if transaction_id is None:
            self._journal += state_change_rows(unit, carried, private)
        else:
            self._journal += transaction_rows(unit, command.kind, carried, transaction_id, private)
            if accepted.text is not None and accepted.text.reference is not None:
                self._add_reference(unit.tenant_id, accepted.text.reference, transaction_id)
        if self._ahead:
            self._raise_rows([wallet for _, wallet in carried])
        for fact in accepted.row_facts:
            states.append(carry_out_row(fact, self._rows, self._now))
            self._journal.append(row_change_row(unit, fact, states[-1], private))
            self._context = self._nobodys_context()  # it may have been the policy
        for row in accepted.states:
            self._rows[row.name] = row
            states.append(row)
        created_at = self._text_of(carried[0][1].last_at) if carried else self._now_text
        done = CarriedOut(carried, states, transaction_id, created_at, unit.mandate)
        return _Answered(_DONE, self._renderer.accepted(command, done), accepted.resource_id)

    def _nobodys_context(self) -> Context:
        return Context(_NOBODYS, self._now, self._planning.ids)

    def _add_reference(self, tenant_id: UUID, reference: str, transaction_id: UUID) -> None:
        hashed = self._planning.hash_reference(tenant_id, reference)
        self._references.append(ReferenceRow(tenant_id, hashed, transaction_id, shard_of(transaction_id)))

    def _raise_rows(self, wallets: Sequence[Wallet]) -> None:
        """Note the time of the newest journal rows, one for each of *wallets*, where it is not the batch's."""
        first = len(self._journal) - len(wallets) + 1
        rows = enumerate(wallets, first)
        self._raised += [RaisedRow(row, wallet.last_at) for row, wallet in rows if wallet.last_at > self._now]

    def _text_of(self, at: datetime) -> str:
        return self._now_text if at is self._now else rfc3339(at)

    # -- keys

    def _remember(self, unit: Unit, answered: _Answered, first_row: int, refused_id: UUID | None = None) -> _ToWrite:
        """Add the record of the unit's key; its journal rows are those from *first_row* on.

        *refused_id* is what a rule refused for: the record stands in its shard.
        """
        last_by_shard: dict[int, int] = {}
        for number, row in enumerate(self._journal[first_row:], first_row + 1):
            shard = shard_of(row.account_id)
            self._shards.append(shard)
            last_by_shard[shard] = number
        last_rows = [last_by_shard[shard] for shard in sorted(last_by_shard)]
        if refused_id is not None:
            home = shard_of(refused_id)
        elif last_rows:
            home = self._shards[first_row]
        else:  # what was done has no events
            home = shard_of(answered.resource_id or unit.tenant_id)
        if unit.claim is not None and self._print_of(unit.claim.key) is None:
            self._idempotency.append(
                IdempotencyRow(*unit.claim.key, unit.claim.fingerprint, *_CLAIMED, None, home, None, None, None)
            )
            self._printed[unit.claim.key] = unit.claim.fingerprint
            self.claimed.add(unit.claim.key)
        first, second, more = row_places(last_rows)
        self._idempotency.append(
            IdempotencyRow(
                *unit.key, unit.fingerprint, *answered.answer, answered.resource_id, home, first, second, more
            )
        )
        if self._has_claims:
            self._printed[unit.key] = unit.fingerprint
        return _ToWrite(answered, last_rows)
