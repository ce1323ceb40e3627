"""What a ledger must answer, kept as simply as can be: dicts of balances, lists of what went back, fractions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from uuid import UUID

from wallet.application.units import Done, Refused, Result, Stored
from wallet.domain.commands import Command
from wallet.domain.destinations import Destination
from wallet.domain.hold_commands import CaptureHold, PlaceHold, VoidHold
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.originals import Original, OriginalEntry
from wallet.domain.outcomes import RefusalCode
from wallet.domain.payments import MakePayment
from wallet.domain.refund_commands import ChargeBack, RefundTransaction, ReverseTransaction, TakeBack


@dataclass
class Made:
    """A transaction: who paid (None: somebody outside) whom how much, what went back of each payee's part, in lists."""

    type: str
    payer: UUID | None
    parts: list[tuple[UUID | None, int]]
    back: list[list[int]] = field(default_factory=list)
    is_reversed: bool = False

    @property
    def rests(self) -> list[int]:
        """What is left of each part."""
        return [part - sum(back[index] for back in self.back) for index, (_, part) in enumerate(self.parts)]

    def shares(self, amount: int) -> list[int]:
        """Return what each payee gives of *amount*."""
        rests = self.rests
        shares = [math.floor(Fraction(rest * amount, sum(rests))) for rest in rests]
        over = amount - sum(shares)
        for place, rest in enumerate(rests):
            if over and shares[place] < rest:
                shares[place], over = shares[place] + 1, over - 1
        return shares

    @property
    def original(self) -> Original:
        """The transaction as a command that takes it back is given it."""
        entries = [(self.payer, -sum(part for _, part in self.parts)), *self.parts]
        if self.payer is None:
            entries = [*entries[1:], entries[0]]
        home = next(wallet for wallet, _ in entries if wallet is not None)
        return Original(
            self.type,
            tuple(
                OriginalEntry(wallet or home, None if wallet else "external:USD", "USD", minor)
                for wallet, minor in entries
            ),
        )


@dataclass
class Model:
    """What the clients believe: balances in minor units, what each hold holds of which wallet, and every answer."""

    balances: dict[UUID, int] = field(default_factory=dict)
    holds: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)
    made: dict[UUID, Made] = field(default_factory=dict)
    answers: dict[str, tuple[tuple[Command, ...], Stored]] = field(default_factory=dict)

    def available(self, wallet: UUID) -> int:
        """Return what is not held of the wallet's balance."""
        return self.balances[wallet] - sum(held for owner, held in self.holds.values() if owner == wallet)

    def holding(self, command: Command, made: UUID | None) -> Result:
        """Carry out a command on a hold, *made* being the id of a new one; return the result that it must get."""
        match command:
            case PlaceHold():
                if command.amount_minor > self.available(command.wallet_id):
                    return Refused(RefusalCode.INSUFFICIENT_FUNDS)
                assert made is not None
                self.holds[made] = command.wallet_id, command.amount_minor
            case CaptureHold(amount_minor=int(amount), destinations=(Destination(wallet_id=UUID() as payee),)):
                wallet, held = self.holds[command.hold_id]
                if held == 0:
                    return Refused(RefusalCode.HOLD_SETTLED)
                if amount > held:
                    return Refused(RefusalCode.CAPTURE_EXCEEDS_HOLD)
                self.holds[command.hold_id] = wallet, 0 if command.is_final else held - amount
                self.balances[wallet] -= amount
                self.balances[payee] += amount
            case VoidHold():
                wallet, held = self.holds[command.hold_id]
                if held == 0:
                    return Refused(RefusalCode.HOLD_SETTLED)
                self.holds[command.hold_id] = wallet, 0
            case _:
                raise AssertionError(command)
        return Done()

    def taking_back(self, command: TakeBack) -> Result:
        """Carry out a command that takes a transaction back; return the result that it must get."""
        made = self.made[command.transaction_id]
        if made.is_reversed:
            return Refused(RefusalCode.TRANSACTION_REVERSED)
        asked = command.amount_minor if isinstance(command, RefundTransaction | ChargeBack) else None
        amount = sum(made.rests) if asked is None else asked
        if not 0 < amount <= sum(made.rests):
            return Refused(RefusalCode.REFUND_EXCEEDS_TRANSACTION)
        shares = made.shares(amount)
        is_forced = command.is_forced or isinstance(command, ChargeBack)
        for (payee, _), share in zip(made.parts, shares, strict=True):
            if payee is not None and share > max(0, self.available(payee)) and not is_forced:
                return Refused(RefusalCode.INSUFFICIENT_FUNDS)
        for (payee, _), share in zip(made.parts, shares, strict=True):
            if payee is not None:
                self.balances[payee] -= share
        if made.payer is not None:
            self.balances[made.payer] += amount
        made.back.append(shares)
        made.is_reversed = isinstance(command, ReverseTransaction)
        return Done()

    def remember(self, command: Command, transaction_id: UUID) -> None:
        """Note the transaction that *command* made."""
        match command:
            case DepositFunds():
                made = Made("deposit", None, [(command.wallet_id, command.amount_minor)])
            case WithdrawFunds():
                made = Made("withdrawal", command.wallet_id, [(None, command.amount_minor)])
            case TransferFunds():
                parts: list[tuple[UUID | None, int]] = [(command.destination_wallet_id, command.amount_minor)]
                made = Made("transfer", command.source_wallet_id, parts)
            case MakePayment():
                parts = [(each.wallet_id, each.amount_minor or 0) for each in command.destinations]
                made = Made("payment", command.source_wallet_id, parts)
            case _:
                raise AssertionError(command)
        self.made[transaction_id] = made

    def expects(self, commands: Sequence[Command]) -> tuple[Result, int, dict[UUID, int]]:
        """Return the result and the status that *commands*, all or none, must get, and the balances afterwards."""
        after = dict(self.balances)
        for command in commands:
            payer: UUID | None = None
            match command:
                case DepositFunds():
                    after[command.wallet_id] += command.amount_minor
                case WithdrawFunds(wallet_id=payer):
                    after[command.wallet_id] -= command.amount_minor
                case TransferFunds(source_wallet_id=payer):
                    after[command.source_wallet_id] -= command.amount_minor
                    after[command.destination_wallet_id] += command.amount_minor
                case MakePayment(source_wallet_id=payer):
                    after[command.source_wallet_id] -= command.amount_minor
                    for each in command.destinations:
                        if each.wallet_id is not None:
                            after[each.wallet_id] += each.amount_minor or 0
                case _:
                    raise AssertionError(command)
            if payer is not None and after[payer] < self.balances[payer] - self.available(payer):
                return Refused(RefusalCode.INSUFFICIENT_FUNDS), 409, self.balances
        return Done(), (201 if len(commands) == 1 else 200), after
