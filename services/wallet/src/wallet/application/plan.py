"""Planning a batch: units decided one after another on the rows behind the locks, and all that is to be written."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from contracts.envelope import rfc3339
from contracts.ids import shard_of
from wallet.application.journal import state_change_row, transaction_rows
from wallet.application.ports import Renderer
from wallet.application.private import seal, seal_opening, write_private
from wallet.application.rows import (
    BatchRows,
    IdempotencyRow,
    JournalRow,
    Locked,
    RaisedRow,
    ReferenceRow,
    idempotency_row,
)
from wallet.application.units import (
    AheadOfClock,
    Answer,
    Done,
    KeyReused,
    NotFound,
    Outcome,
    Refused,
    Result,
    Stored,
    Unit,
    UnitKey,
)
from wallet.domain.commands import Command, DepositFunds, OpenWallet, TransferFunds, WithdrawFunds, wallets_named
from wallet.domain.decide import changed_wallets, decide
from wallet.domain.outcomes import Accepted, Missing, Posted, Rejected, StateChanged
from wallet.domain.wallets import Wallet

MakeId = Callable[[], UUID]
HashReference = Callable[[UUID, str], bytes]
"""Keyed hash of a tenant's reference: references are found by it and never indexed in clear."""

CLOCK_AHEAD_MAX: Final = timedelta(seconds=10)
"""How far a wallet's newest event may be ahead of the database's clock: a clock that was set right, not one that was
wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What every plan of a process is made with."""

    make_id: MakeId
    hash_reference: HashReference
    renderer: Renderer
    clock_ahead_max: timedelta = CLOCK_AHEAD_MAX


class _Answered(msgspec.Struct, frozen=True):
    """What was decided of a command or a unit; its journal rows are in the plan."""

    result: Result
    answer: Answer
    resource_id: UUID | None


_DONE: Final = Done()
_CLAIMED: Final[Answer] = (0, b"")
"""What stands under an independent batch's own key, rendered of nothing: the commands' answers stand under theirs."""


class _ToWrite(msgspec.Struct, frozen=True):
    """An outcome whose sequence numbers the database has yet to give; *last_rows* are numbered from 1."""

    answered: _Answered
    last_rows: list[int]


class BatchPlan:
    """Plan of one attempt at one batch. Call it once with what was locked; `outcomes` takes the sequence numbers."""

    def __init__(self, units: Sequence[Unit], planning: Planning) -> None:
        self._units = units
        self._make_id = planning.make_id
        self._hash_reference = planning.hash_reference
        self._renderer = planning.renderer
        self._wallets: dict[UUID, Wallet] = {}
        self._opened: list[Wallet] = []
        self._journal: list[JournalRow] = []
        self._shards: list[int] = []
        self._references: list[ReferenceRow] = []
        self._idempotency: list[IdempotencyRow] = []
        self._has_claims = any(unit.claim is not None for unit in units)
        self._printed: dict[UnitKey, bytes] = {}  # by the keys that the plan writes, where there are claims among them
        self.claimed: set[UnitKey] = set()
        """The keys of independent batches that the plan writes: other batches may hold more of their commands."""
        self._results: list[Outcome | _ToWrite] = []
        self._ahead_max = planning.clock_ahead_max
        self._ahead: dict[UUID, Wallet] = {}
        self._raised: list[RaisedRow] = []

    def __call__(self, locked: Locked) -> BatchRows:
        """Decide every unit and return all that is to be written."""
        self._locked = locked
        self._now = locked.now
        self._now_text = rfc3339(locked.now)
        self._wallets = dict(locked.wallets)
        self._ahead = {wallet.id: wallet for wallet in locked.wallets.values() if wallet.last_at > locked.now}
        self._results = [self._plan_unit(unit) for unit in self._units]
        before = locked.wallets
        changed = [wallet for wallet in self._wallets.values() if wallet.version != before[wallet.id].version]
        return BatchRows(
            now=self._now,
            opened=self._opened,
            changed=changed,
            versions_before=[before[wallet.id].version for wallet in changed],
            shards=self._shards,
            journal=self._journal,
            references=self._references,
            idempotency=self._idempotency,
            raised=self._raised,
        )

    @property
    def ahead_of_clock(self) -> Collection[Wallet]:
        """The named wallets whose newest event is later than the batch's time."""
        return self._ahead.values()

    @property
    def named(self) -> Mapping[UUID, Wallet]:
        """The wallets that the batch was decided on, as they were before it."""
        return self._locked.wallets

    @property
    def wallets(self) -> Mapping[UUID, Wallet]:
        """The named wallets and those opened, as the batch leaves them."""
        return self._wallets | {wallet.id: wallet for wallet in self._opened}

    @property
    def now(self) -> datetime:
        """The time at which all of the batch happens."""
        return self._now

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

    def _stored(self, result: _ToWrite, sequences: Sequence[int]) -> Stored:
        positions = tuple((self._shards[number - 1], sequences[number - 1]) for number in result.last_rows)
        answered = result.answered
        return Stored(answered.result, answered.answer, answered.resource_id, positions, is_replayed=False)

    def _plan_unit(self, unit: Unit) -> Outcome | _ToWrite:
        if self._has_claims or unit.key in self._locked.keys:
            found = self._found_under_keys(unit)
            if found is not None:
                return found
        ahead = self._too_far_ahead(unit) if self._ahead else None
        if ahead is not None:
            return ahead
        if unit.is_atomic_batch:
            return self._plan_atomic_batch(unit)
        first_row = len(self._journal)
        match self._attempt(unit, unit.commands[0]):
            case Missing() as missing:
                return NotFound(missing, None)
            case Rejected() as rejected:
                answer = self._renderer.rejected(rejected, unit.path)
                return self._remember(unit, _Answered(Refused(rejected.code), answer, None), first_row)
            case _Answered() as answered:
                return self._remember(unit, answered, first_row)

    def _found_under_keys(self, unit: Unit) -> Outcome | None:
        """Return what stands under the keys of *unit*: its outcome, or another request; None where they are free."""
        if unit.claim is not None and self._print_of(unit.claim.key) not in {None, unit.claim.fingerprint}:
            return KeyReused(by_batch=True)
        if self._print_of(unit.key) not in {None, unit.fingerprint}:
            return KeyReused()
        record = self._locked.keys.get(unit.key)
        if record is None:
            return None
        result = self._renderer.result_of(record.answer)
        return Stored(result, record.answer, record.resource_id, record.positions, is_replayed=True)

    def _print_of(self, key: UnitKey) -> bytes | None:
        """Return the fingerprint of the request that *key* stands for already, None where it is free."""
        record = self._locked.keys.get(key)
        return self._printed.get(key) if record is None else record.fingerprint

    def _too_far_ahead(self, unit: Unit) -> AheadOfClock | None:
        """Return that *unit* would move money at a time that is not believed; a freeze is let be."""
        latest = self._now + self._ahead_max
        for command in unit.commands:
            if isinstance(command, DepositFunds | WithdrawFunds | TransferFunds):
                for wallet_id in wallets_named(command):
                    wallet = self._ahead.get(wallet_id)
                    if wallet is not None and wallet.last_at > latest:
                        return AheadOfClock(wallet_id)
        return None

    def _plan_atomic_batch(self, unit: Unit) -> Outcome | _ToWrite:
        """Decide all commands of *unit* or none: the first refusal takes back what the others did."""
        wallets = self._wallets.copy()
        marks = len(self._opened), len(self._journal), len(self._references), len(self._raised)
        answers = []
        for index, command in enumerate(unit.commands):
            attempt = self._attempt(unit, command)
            if isinstance(attempt, _Answered):
                answers.append(attempt.answer)
                continue
            self._wallets = wallets
            del self._opened[marks[0] :], self._journal[marks[1] :], self._references[marks[2] :]
            del self._raised[marks[3] :]
            if isinstance(attempt, Missing):
                return NotFound(attempt, index)
            answer = self._renderer.rejected_batch(attempt, index, unit.path)
            return self._remember(unit, _Answered(Refused(attempt.code), answer, None), marks[1])
        return self._remember(unit, _Answered(_DONE, self._renderer.batch(answers), None), marks[1])

    def _attempt(self, unit: Unit, command: Command) -> _Answered | Rejected | Missing:
        """Decide *command*; where it is accepted, add its rows to the plan."""
        decision = decide(command, self._wallets, tenant_id=unit.tenant_id, now=self._now)
        if isinstance(decision, Rejected | Missing):
            return decision
        if isinstance(command, OpenWallet):
            assert isinstance(decision, StateChanged)
            return self._open(unit, command, decision)
        for wallet in changed_wallets(decision):
            self._wallets[wallet.id] = wallet
        return self._accept(unit, command, decision)

    def _accept(self, unit: Unit, command: Command, accepted: Accepted) -> _Answered:
        if isinstance(accepted, Posted):
            assert isinstance(command, DepositFunds | WithdrawFunds | TransferFunds)
            transaction_id = self._make_id()
            self._journal += transaction_rows(unit, command, accepted, transaction_id)
            if command.details is not None and command.details.reference is not None:
                reference_hash = self._hash_reference(unit.tenant_id, command.details.reference)
                self._references.append(ReferenceRow(unit.tenant_id, reference_hash, transaction_id))
            if self._ahead:
                self._raise_rows([leg.wallet for leg in accepted.legs])
            created_at = self._text_of(accepted.legs[0].wallet.last_at)
            answer = self._renderer.transaction(transaction_id, command, accepted, created_at)
            return _Answered(_DONE, answer, transaction_id)
        self._journal.append(state_change_row(unit, accepted, seal(reason=accepted.reason)))
        if self._ahead:
            self._raise_rows([accepted.wallet])
        return _Answered(_DONE, self._renderer.changed(accepted.wallet), None)

    def _raise_rows(self, wallets: Sequence[Wallet]) -> None:
        """Note the time of the newest journal rows, one for each of *wallets*, where it is not the batch's."""
        first = len(self._journal) - len(wallets) + 1
        rows = enumerate(wallets, first)
        self._raised += [RaisedRow(row, wallet.last_at) for row, wallet in rows if wallet.last_at > self._now]

    def _text_of(self, at: datetime) -> str:
        return self._now_text if at is self._now else rfc3339(at)

    def _open(self, unit: Unit, command: OpenWallet, opened: StateChanged) -> _Answered:
        private = seal_opening(command)
        wallet = msgspec.structs.replace(opened.wallet, private=write_private(private))
        self._opened.append(wallet)
        self._journal.append(state_change_row(unit, opened, private))
        return _Answered(_DONE, self._renderer.opened(wallet), wallet.id)

    def _remember(self, unit: Unit, answered: _Answered, first_row: int) -> _ToWrite:
        """Add the record that stands under the unit's key; its journal rows are those from *first_row* on."""
        last_by_shard: dict[int, int] = {}
        for number, row in enumerate(self._journal[first_row:], first_row + 1):
            shard = shard_of(row.account_id)
            self._shards.append(shard)
            last_by_shard[shard] = number
        last_rows = [last_by_shard[shard] for shard in sorted(last_by_shard)]
        if unit.claim is not None and self._print_of(unit.claim.key) is None:
            self._idempotency.append(idempotency_row(unit.claim.key, unit.claim.fingerprint, _CLAIMED, None, []))
            self._printed[unit.claim.key] = unit.claim.fingerprint
            self.claimed.add(unit.claim.key)
        self._idempotency.append(
            idempotency_row(unit.key, unit.fingerprint, answered.answer, answered.resource_id, last_rows)
        )
        if self._has_claims:
            self._printed[unit.key] = unit.fingerprint
        return _ToWrite(answered, last_rows)
