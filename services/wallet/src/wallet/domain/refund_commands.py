"""Transactions are refunded, reversed and charged back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from contracts.money import BALANCE_MINOR_MAX
from wallet.domain.commands import Command, Context
from wallet.domain.facts import About, SystemEntry
from wallet.domain.originals import FEES, Original, OriginalEntry, rests_of, shared_out, taken_back
from wallet.domain.outcomes import (
    Accepted,
    Amount,
    Decision,
    FactValue,
    Missing,
    RefusalCode,
    Rejected,
    Subject,
    missing_wallet,
    rejected,
)
from wallet.domain.refunds import (
    REFUNDS_MAX,
    TRANSACTION,
    ChargebackDebited,
    FeeReturned,
    RefundReceived,
    RefundSent,
    RefundStatus,
    Returned,
    TakenBack,
    TransactionReversed,
    refunded_of,
)
from wallet.domain.rows import RowName, Rows, StateName
from wallet.domain.sides import refuse_credit, refuse_debit
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Wallet

REFUNDABLE: Final = frozenset({"deposit", "withdrawal", "transfer", "payment", "capture", "conversion"})
"""The types of transactions that are refunded."""
CHARGEBACK: Final = "chargeback"
_WAIVED: Final = frozenset({RefusalCode.INSUFFICIENT_FUNDS, RefusalCode.WALLET_FROZEN})
"""The rules that force goes through."""


class Part(msgspec.Struct, frozen=True):
    """How much is taken from a payee."""

    wallet_id: UUID
    amount_minor: int


class TakeBack(Command, frozen=True):
    """A command that takes the transaction *transaction_id* back, wholly or in part.

    *original* is what it was, which costs a search and never changes: it is looked up before the command is decided,
    when its fingerprint is made already. None: there is no such transaction, as far as its sender may see. *text* tells
    why. *is_forced*: debits go below the floor, and entries through restrictions.
    """

    moves_money: ClassVar[bool] = True
    types: ClassVar[frozenset[str]] = REFUNDABLE
    """The types of transactions that it takes back."""
    is_always_forced: ClassVar[bool] = False
    """Whether it is carried out whatever is there."""
    transaction_id: UUID
    text: FreeText
    is_forced: bool = False
    original: Original | None = None

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the transaction's row, and every wallet of its entries."""
        del known
        name = StateName(TRANSACTION.number, self.transaction_id)
        if self.original is None:
            return (name,)
        return (name, *dict.fromkeys(entry.wallet_id for entry in self.original.entries))

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse more than is left of the transaction, and what a wallet may not give or get, else post it."""
        original = self.original
        if original is None:
            return Missing(TRANSACTION.name, self.transaction_id)
        if original.type not in self.types:
            return self._refused(RefusalCode.TRANSACTION_NOT_REFUNDABLE)
        row = rows.state(TRANSACTION, self.transaction_id, context.mandate.tenant_id)
        if row is not None and row.status == RefundStatus.REVERSED:
            return self._refused(RefusalCode.TRANSACTION_REVERSED)
        if row is not None and len(refunded_of(row).refunds) >= REFUNDS_MAX:
            return self._refused(RefusalCode.REFUND_LIMIT_REACHED)
        returned_minor = () if row is None else refunded_of(row).returned_minor
        rests = rests_of(original, returned_minor)
        payees_minor = self._of_payees(original, {index: rests[index] for index in original.payees})
        if isinstance(payees_minor, Rejected):
            return payees_minor
        back = taken_back(original, returned_minor, payees_minor, with_fees=self._returns_fees)
        amount_minor = sum(payees_minor.values())
        made = _Return(
            command=self, original=original, back=back, amount_minor=amount_minor, rows=rows, context=context
        )
        return made.decide()

    @property
    def _returns_fees(self) -> bool:
        return False

    def entry(self, amount_minor: int) -> type[Returned]:
        """Return which fact an entry of *amount_minor* is."""
        raise NotImplementedError

    def _of_payees(self, original: Original, rests: Mapping[int, int]) -> Mapping[int, int] | Rejected:
        """Return how much is taken from each payee's entry, or why it cannot be; *rests* are what is left of them."""
        return self._everything(original, rests)

    def _everything(self, original: Original, rests: Mapping[int, int]) -> Mapping[int, int] | Rejected:
        return rests if any(rests.values()) else self._exceeds(original, 0)

    def _amount(
        self, original: Original, rests: Mapping[int, int], amount_minor: int | None, currency: str | None
    ) -> Mapping[int, int] | Rejected:
        """Return *amount_minor* shared out among *rests*; all of them where it is None."""
        if currency is not None and currency != original.currency:
            return self._refused(RefusalCode.CURRENCY_MISMATCH, currency=original.currency)
        if amount_minor is None:
            return self._everything(original, rests)
        left_minor = sum(rests.values())
        return self._exceeds(original, left_minor) if amount_minor > left_minor else shared_out(amount_minor, rests)

    def _exceeds(self, original: Original, left_minor: int, **facts: FactValue) -> Rejected:
        refundable = Amount(left_minor, original.currency)
        return self._refused(RefusalCode.REFUND_EXCEEDS_TRANSACTION, refundable=refundable, **facts)

    def _refused(self, code: RefusalCode, **facts: FactValue) -> Rejected:
        return Rejected(code, Subject(TRANSACTION.name, self.transaction_id), facts)


class RefundTransaction(TakeBack, frozen=True):
    """Take *amount_minor* of the transaction back, all that is left unless it is given, or *parts* from its payees.

    *returns_fees*: fees go back in proportion.
    """

    kind: ClassVar[str] = "refund"
    amount_minor: int | None = None
    currency: str | None = None
    parts: tuple[Part, ...] = ()
    returns_fees: bool = False

    @property
    def _returns_fees(self) -> bool:
        return self.returns_fees

    def entry(self, amount_minor: int) -> type[Returned]:
        """Return which fact an entry of *amount_minor* is."""
        return RefundSent if amount_minor < 0 else RefundReceived

    def _of_payees(self, original: Original, rests: Mapping[int, int]) -> Mapping[int, int] | Rejected:
        if not self.parts:
            return self._amount(original, rests, self.amount_minor, self.currency)
        if self.currency != original.currency:
            return self._refused(RefusalCode.CURRENCY_MISMATCH, currency=original.currency)
        places = {
            original.entries[index].wallet_id: index for index in rests if original.entries[index].account is None
        }
        for part in self.parts:
            place = places.get(part.wallet_id)
            left_minor = 0 if place is None else rests[place]
            if part.amount_minor > left_minor:
                return self._exceeds(original, left_minor, wallet_id=str(part.wallet_id))
        return {places[part.wallet_id]: part.amount_minor for part in self.parts}


class ReverseTransaction(TakeBack, frozen=True):
    """Take all that is left of the transaction back, fees included."""

    kind: ClassVar[str] = "reversal"
    types: ClassVar[frozenset[str]] = REFUNDABLE | {CHARGEBACK}

    @property
    def _returns_fees(self) -> bool:
        return True

    def entry(self, amount_minor: int) -> type[Returned]:
        """Return which fact an entry is, whatever its amount."""
        del amount_minor
        return TransactionReversed


class ChargeBack(TakeBack, frozen=True):
    """Take *amount_minor* of a deposit back, all that is left unless it is given: a bank did, whatever is there."""

    kind: ClassVar[str] = CHARGEBACK
    types: ClassVar[frozenset[str]] = frozenset({"deposit"})
    is_always_forced: ClassVar[bool] = True
    amount_minor: int | None = None
    currency: str | None = None

    def entry(self, amount_minor: int) -> type[Returned]:
        """Return which fact an entry is, whatever its amount."""
        del amount_minor
        return ChargebackDebited

    def _of_payees(self, original: Original, rests: Mapping[int, int]) -> Mapping[int, int] | Rejected:
        return self._amount(original, rests, self.amount_minor, self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Return:
    """The entries that take *amount_minor* of *original* back: *back* is what is posted of each of its entries.

    *forced* gathers the wallets whose rules they go through.
    """

    command: TakeBack
    original: Original
    back: Sequence[int]
    amount_minor: int
    rows: Rows
    context: Context
    forced: set[UUID] = field(default_factory=set)

    def decide(self) -> Decision:
        """Refuse what a wallet may not give, then what one may not get, else post the entries."""
        original = self.original
        if not any(entry.wallet_id == original.home_id and entry.is_wallets for _, entry in self._moved()):
            subject = Subject(TRANSACTION.name, self.command.transaction_id)
            return Rejected(RefusalCode.SHARE_TOO_SMALL, subject, {})
        net: dict[UUID, int] = {}
        for back, entry in self._moved():
            if entry.account is None:
                net[entry.wallet_id] = net.get(entry.wallet_id, 0) + back
        refusals = (self._refuse(each, minor) for each, minor in sorted(net.items(), key=lambda each: each[1] >= 0))
        return next((refusal for refusal in refusals if refusal is not None), None) or self._posted()

    def _moved(self) -> list[tuple[int, OriginalEntry]]:
        return [(back, entry) for back, entry in zip(self.back, self.original.entries, strict=True) if back]

    def _refuse(self, wallet_id: UUID, net_minor: int) -> Rejected | Missing | None:
        """Return why the wallet may not give or get *net_minor*, or None; where force goes through, note that."""
        context, currency = self.context, self._currency_of(wallet_id)
        wallet = (context.own if net_minor < 0 else context.any)(self.rows, wallet_id)
        if wallet is None:
            return missing_wallet(wallet_id)
        refusal = (
            refuse_debit(wallet, -net_minor, currency, context.mandate)
            if net_minor < 0
            else refuse_credit(wallet, net_minor, currency, context.mandate)
        )
        is_forced = self.command.is_forced or self.command.is_always_forced
        if refusal is None or not is_forced or refusal.code not in _WAIVED:
            return refusal
        if abs(wallet.posted_minor + net_minor) > BALANCE_MINOR_MAX:
            return rejected(RefusalCode.BALANCE_OVERFLOW, wallet)
        self.forced.add(wallet_id)
        return None

    def _currency_of(self, wallet_id: UUID) -> str:
        return next(
            entry.currency for entry in self.original.entries if entry.wallet_id == wallet_id and entry.account is None
        )

    def _posted(self) -> Accepted:
        """Return the transaction: what a wallet gets of fees first, so that it has it for what it gives back."""
        refund_id = self.context.ids.beside(self.original.home_id)
        moved = self._moved()
        fees = [self._fee(back, entry) for back, entry in moved if entry.account is None and entry.is_fee]
        entries = [self._entry(back, entry, refund_id) for back, entry in moved if entry.is_wallets]
        system = [
            SystemEntry(entry.wallet_id, back, entry.account) for back, entry in moved if entry.account is not None
        ]
        return Accepted((*fees, *entries, *system), refund_id, refund_id, self.command.text)

    def _fee(self, back: int, entry: OriginalEntry) -> FeeReturned:
        about = msgspec.structs.replace(
            self._about(entry.wallet_id), fee_rule=entry.fee_rule, policy_version=entry.policy_version
        )
        return FeeReturned(entry.wallet_id, back, 0, f"{FEES}{entry.currency}", about)

    def _entry(self, back: int, entry: OriginalEntry, refund_id: UUID) -> Returned:
        fact = self.command.entry(back)
        taken = self._taken(refund_id) if entry.wallet_id == self.original.home_id else None
        return fact(entry.wallet_id, back, 0, self._counterparty(entry), self._about(entry.wallet_id), taken)

    def _about(self, wallet_id: UUID) -> About:
        is_forced = self.command.is_always_forced or wallet_id in self.forced
        return About(related_transaction_id=str(self.command.transaction_id), forced=is_forced)

    def _taken(self, refund_id: UUID) -> TakenBack:
        original = self.original
        return TakenBack(
            original_id=self.command.transaction_id,
            refund_id=refund_id,
            currency=original.currency,
            amount_minor=self.amount_minor,
            refundable_minor=original.refundable_minor,
            entries=tuple(
                (index, back, entry.currency)
                for index, (back, entry) in enumerate(zip(self.back, original.entries, strict=True))
                if back
            ),
        )

    def _counterparty(self, entry: OriginalEntry) -> Wallet | str | None:
        """Return whom the entry's wallet gives to or gets from, None where they are several."""
        others = [
            each
            for _, each in self._moved()
            if each.is_payees != entry.is_payees and not each.is_fee and (each.account is None or each.is_outside)
        ]
        if len(others) != 1:
            return None
        (other,) = others
        if other.account is not None:
            return other.account
        return self.rows.wallet(other.wallet_id, self.context.mandate.tenant_id)
