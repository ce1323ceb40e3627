"""Holds are placed, increased, captured, voided, and end by themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from contracts.money import BALANCE_MINOR_MAX
from contracts.scopes import Kind
from wallet.domain.commands import Command, Context
from wallet.domain.destinations import PPM, Destination, share_out
from wallet.domain.facts import About, AnyFact
from wallet.domain.fees import Fee, Use, fee_minor_of, increased_fee_minor, reserved_fee_entries
from wallet.domain.holds import (
    CAPTURE,
    EXPIRED,
    FINAL_CAPTURE,
    HOLD,
    VOIDED,
    HoldCaptured,
    HoldIncreased,
    HoldPlaced,
    HoldReleased,
    HoldStatus,
    amount_minor_of,
    held_minor_of,
    hold_of,
    remaining_minor,
)
from wallet.domain.limiting import give_back
from wallet.domain.outcomes import (
    WALLET,
    Accepted,
    Amount,
    Decision,
    FactValue,
    Missing,
    NotNow,
    NotPermitted,
    RefusalCode,
    Rejected,
    Subject,
    missing_wallet,
    rejected,
)
from wallet.domain.payments import Paid, pay_out, wallets_of
from wallet.domain.policy import HoldTerms
from wallet.domain.rows import RowName, Rows, StateName, StateRow, UsageChange
from wallet.domain.sides import debit_side, payers_side
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Wallet

CAPTURES_MAX: Final = 100
INCREASES_MAX: Final = 100


class PlaceHold(Command, frozen=True):
    """Hold *amount_minor* of a wallet until *expires_at*: as long as the policy says, unless it is given."""

    kind: ClassVar[str] = "hold"
    moves_money: ClassVar[bool] = True
    wallet_id: UUID
    amount_minor: int
    currency: str
    expires_at: datetime | None = None
    text: FreeText | None = None

    @property
    def debits(self) -> UUID | None:
        """The wallet."""
        return self.wallet_id

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the wallet."""
        del known
        return (self.wallet_id,)

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the wallet may not spend, else hold it."""
        wallet = context.own(rows, self.wallet_id)
        if wallet is None:
            return missing_wallet(self.wallet_id)
        terms, now = context.policy.policy.holds, context.now
        expires_at = now + timedelta(days=terms.days) if self.expires_at is None else self.expires_at
        if not now < expires_at <= now + timedelta(days=terms.days_max):
            return _out_of_range(Subject(WALLET, wallet.id), terms)
        debit = payers_side(Use(CAPTURE, wallet), self.amount_minor, self.currency, rows, context)
        if debit.refusal is not None:
            return debit.refusal
        hold_id = context.ids.beside(wallet.id)
        fee, fee_minor = debit.fee, fee_minor_of(debit.fee)
        placed = HoldPlaced(
            wallet.id,
            held_minor=self.amount_minor + fee_minor,
            hold_id=hold_id,
            client=context.mandate.client,
            expires_at=expires_at,
            fee_reserved_minor=fee_minor,
            fee_rule=None if fee is None else fee.rule_id,
            policy_version=None if fee is None else fee.policy_version,
        )
        return Accepted((placed,), resource_id=hold_id, text=self.text, usages=debit.usages)


class _HoldCommand(Command, frozen=True):
    """A command on the hold *hold_id*, by whoever placed it, or by a service or staff that acts for every owner."""

    hold_id: UUID

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return the hold, and the wallets of the command once its own is known."""
        name = StateName(HOLD.number, self.hold_id)
        row = known.get(name)
        if not isinstance(row, StateRow) or row.wallet_id is None:
            return (name, *self._payees())
        return (name, row.wallet_id, *self._payees())

    def _payees(self) -> tuple[UUID, ...]:
        return ()

    def _found(
        self, rows: Rows, context: Context, *, settled_too: bool = False
    ) -> "tuple[StateRow, Wallet] | Missing | NotPermitted | Rejected":
        """Return the hold with its wallet, or why the command's sender may not settle or change it.

        *settled_too*: it need not be open.
        """
        mandate = context.mandate
        row = rows.state(HOLD, self.hold_id, mandate.tenant_id)
        wallet = None if row is None or row.wallet_id is None else context.own(rows, row.wallet_id)
        if row is None or wallet is None:
            return Missing(HOLD.name, self.hold_id)
        is_for_every_owner = mandate.owners is None and mandate.kind is not Kind.USER
        if hold_of(row).client != mandate.client and not is_for_every_owner:
            return NotPermitted("The hold was placed by somebody else.", mandate.kind)
        if row.status != HoldStatus.OPEN and not settled_too:
            return _refused(RefusalCode.HOLD_SETTLED, row)
        return row, wallet


class IncreaseHold(_HoldCommand, frozen=True):
    """Hold *amount_minor* more, until *expires_at*: at least one of both is given."""

    kind: ClassVar[str] = "increase_hold"
    moves_money: ClassVar[bool] = True
    amount_minor: int = 0
    currency: str | None = None
    expires_at: datetime | None = None

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the wallet may not spend, and an end that does not fit, else hold it."""
        found = self._found(rows, context)
        if not isinstance(found, tuple):
            return found
        row, wallet = found
        hold, now = hold_of(row), context.now
        if now >= hold.expires_at:
            return _refused(RefusalCode.HOLD_EXPIRED, row)
        expires_at = hold.expires_at if self.expires_at is None else self.expires_at
        terms = context.policy.policy.holds
        if self.expires_at is not None and not hold.expires_at <= expires_at <= hold.placed_at + timedelta(
            days=terms.days_max
        ):
            return _out_of_range(Subject(HOLD.name, row.id), terms)
        if not self.amount_minor:
            return Accepted((_increased(row, wallet, 0, expires_at, None),))
        return self._more(row, wallet, expires_at, rows, context)

    def _more(
        self, row: StateRow, wallet: Wallet, expires_at: datetime, rows: Rows, context: Context
    ) -> Accepted | Rejected:
        if len(hold_of(row).increases) >= INCREASES_MAX:
            return _refused(RefusalCode.INCREASE_LIMIT_REACHED, row)
        fee = _more_fee(row, self.amount_minor, context)
        currency = self.currency or ""
        debit = debit_side(Use(CAPTURE, wallet), self.amount_minor, fee, rows, context, currency=currency)
        if debit.refusal is not None:
            return debit.refusal
        return Accepted((_increased(row, wallet, self.amount_minor, expires_at, fee),), usages=debit.usages)


class CaptureHold(_HoldCommand, frozen=True):
    """Pay *amount_minor* of a hold, all that remains unless it is given, to *destinations*.

    *is_final*: what remains then is released. *is_forced*: it may be more than remains, also after the hold's end; what
    exceeds it goes below the floor and through restrictions.
    """

    kind: ClassVar[str] = CAPTURE
    moves_money: ClassVar[bool] = True
    destinations: tuple[Destination, ...]
    amount_minor: int | None = None
    currency: str | None = None
    is_final: bool = False
    text: FreeText | None = None
    is_forced: bool = False

    def _payees(self) -> tuple[UUID, ...]:
        return wallets_of(self.destinations)

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse what the hold does not hold and what the payee may not receive, else post it.

        What the payer may spend was decided when the hold was placed: its restrictions do not stand in the way.
        """
        found = self._found(rows, context, settled_too=self.is_forced and self.amount_minor is not None)
        if not isinstance(found, tuple):
            return found
        row, payer = found
        amount_minor = remaining_minor(row) if self.amount_minor is None else self.amount_minor
        parts = self._parts(row, amount_minor, payer, context)
        if isinstance(parts, Rejected):
            return parts
        over_minor = amount_minor - remaining_minor(row)
        increased: tuple[HoldIncreased, ...] = ()
        usages: tuple[UsageChange, ...] = ()
        if over_minor > 0 and not self.is_forced:
            fee = _more_fee(row, over_minor, context)
            debit = debit_side(Use(CAPTURE, payer), over_minor, fee, rows, context, currency=payer.currency)
            if debit.refusal is not None:
                return debit.refusal
            usages = debit.usages
            increased = (_increased(row, payer, over_minor, hold_of(row).expires_at, fee),)
        paid = pay_out(Use(self.kind, payer), self.destinations, parts, rows, context)
        if not isinstance(paid, Paid):
            return paid
        if self.is_final and over_minor < 0:
            usages = give_back(payer, row, -over_minor, rows, context)
        captured = self._captured(row, payer, amount_minor, increased, paid, context=context)
        return msgspec.structs.replace(captured, usages=usages)

    def _captured(
        self,
        row: StateRow,
        payer: Wallet,
        amount_minor: int,
        increased: tuple[HoldIncreased, ...],
        paid: Paid,
        *,
        context: Context,
    ) -> Accepted:
        """Return the transaction: the fee and what was held of the payer, what payees get, and what is released."""
        hold, remaining = hold_of(row), remaining_minor(row)
        reserved_minor = hold.fee_reserved_minor + sum(each.fee_reserved_minor for each in increased)
        is_all = amount_minor >= remaining
        fee_minor = reserved_minor if is_all else reserved_minor * amount_minor // remaining
        fee = None
        if fee_minor:
            assert hold.fee_rule is not None
            assert hold.policy_version is not None
            fee = Fee(hold.fee_rule, hold.policy_version, fee_minor)
        transaction_id = context.ids.beside(payer.id)
        held_minor = amount_minor if increased else min(amount_minor, remaining)
        captured = HoldCaptured(
            payer.id,
            -amount_minor,
            -held_minor,
            paid.counterparty,
            About(forced=amount_minor > held_minor),
            hold_id=row.id,
            transaction_id=transaction_id,
        )
        released: tuple[HoldReleased, ...] = ()
        if self.is_final and not is_all:
            left_minor = remaining + reserved_minor - amount_minor - fee_minor
            released = (HoldReleased(payer.id, held_minor=-left_minor, hold_id=row.id, cause=FINAL_CAPTURE),)
        fees = reserved_fee_entries(payer, fee, row.id)
        facts: tuple[AnyFact, ...] = (*increased, captured, *paid.facts, *fees, *released)
        return Accepted(facts, transaction_id, transaction_id, self.text)

    def _parts(self, row: StateRow, amount_minor: int, payer: Wallet, context: Context) -> Sequence[int] | Rejected:
        """Return what each payee gets of *amount_minor*, or why the hold, or else its payer, does not give it."""
        refusal = self._refuse(row, amount_minor, context)
        if refusal is not None:
            return refusal
        parts = share_out(amount_minor, self.destinations)
        if isinstance(parts, RefusalCode):
            return _refused(parts, row)
        return _refuse_payer(payer, amount_minor + hold_of(row).fee_reserved_minor) or parts

    def _refuse(self, row: StateRow, amount_minor: int, context: Context) -> Rejected | None:
        """Return why the hold itself does not let *amount_minor* be captured, or None."""
        hold = hold_of(row)
        if context.now >= hold.expires_at and not self.is_forced:
            return _refused(RefusalCode.HOLD_EXPIRED, row)
        if self.currency is not None and self.currency != hold.currency:
            return _refused(RefusalCode.CURRENCY_MISMATCH, row, currency=hold.currency)
        beyond_minor = amount_minor_of(row) * context.policy.policy.holds.overcapture_ppm // PPM
        if amount_minor > remaining_minor(row) + beyond_minor and not self.is_forced:
            return _refused(
                RefusalCode.CAPTURE_EXCEEDS_HOLD, row, remaining=Amount(remaining_minor(row), hold.currency)
            )
        if len(hold.captures) >= CAPTURES_MAX:
            return _refused(RefusalCode.CAPTURE_LIMIT_REACHED, row)
        return None


class VoidHold(_HoldCommand, frozen=True):
    """Release all that is left in a hold."""

    kind: ClassVar[str] = "void_hold"
    reason: str | None = None

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse where it is settled, else release it."""
        found = self._found(rows, context)
        if not isinstance(found, tuple):
            return found
        row, wallet = found
        text = None if self.reason is None else FreeText(reason=self.reason)
        usages = give_back(wallet, row, remaining_minor(row), rows, context)
        return Accepted((_released(row, wallet, VOIDED),), text=text, usages=usages)


class ExpireHold(_HoldCommand, frozen=True):
    """Release a hold that was not captured by *due_at*, the end that its sender saw."""

    kind: ClassVar[str] = "expire_hold"
    due_at: datetime

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse where it is settled, or ends later by now, else release it.

        Where the clock is behind the one by which it was due, nothing is decided: a refusal would be stored, and would
        answer for this end of the hold for ever.
        """
        found = self._found(rows, context)
        if not isinstance(found, tuple):
            return found
        row, wallet = found
        if row.due_at is None or row.due_at != self.due_at:
            return _refused(RefusalCode.HOLD_NOT_DUE, row)
        if row.due_at > context.now:
            return NotNow(RefusalCode.HOLD_NOT_DUE, "The hold does not end yet.")
        usages = give_back(wallet, row, remaining_minor(row), rows, context)
        return Accepted((_released(row, wallet, EXPIRED),), usages=usages)


def _more_fee(row: StateRow, amount_minor: int, context: Context) -> Fee | None:
    """Return what more of a fee is reserved where *amount_minor* more is held."""
    hold, before_minor = hold_of(row), amount_minor_of(row)
    fee_minor = increased_fee_minor(hold.fee_rule, before_minor, before_minor + amount_minor, context)
    if not fee_minor:
        return None
    assert hold.fee_rule is not None
    assert hold.policy_version is not None
    return Fee(hold.fee_rule, hold.policy_version, fee_minor)


def _increased(
    row: StateRow, wallet: Wallet, amount_minor: int, expires_at: datetime, fee: Fee | None
) -> HoldIncreased:
    fee_minor = fee_minor_of(fee)
    return HoldIncreased(
        wallet.id,
        held_minor=amount_minor + fee_minor,
        hold_id=row.id,
        expires_at=expires_at,
        fee_reserved_minor=fee_minor,
    )


def _released(row: StateRow, wallet: Wallet, cause: str) -> HoldReleased:
    return HoldReleased(wallet.id, held_minor=-held_minor_of(row), hold_id=row.id, cause=cause)


def _refuse_payer(payer: Wallet, amount_minor: int) -> Rejected | None:
    if payer.is_closed:
        return rejected(RefusalCode.WALLET_CLOSED, payer)
    if payer.posted_minor - amount_minor < -BALANCE_MINOR_MAX:
        return rejected(RefusalCode.BALANCE_OVERFLOW, payer)
    return None


def _refused(code: RefusalCode, row: StateRow, **facts: FactValue) -> Rejected:
    return Rejected(code, Subject(HOLD.name, row.id), facts)


def _out_of_range(subject: Subject, terms: HoldTerms) -> Rejected:
    return Rejected(RefusalCode.HOLD_EXPIRY_OUT_OF_RANGE, subject, {"max_days": terms.days_max})
