"""A capability that exists in tests alone: a wallet issues vouchers, and other wallets redeem them up to their cap.

It has all that one can have: commands and their routes, a refusal, a kind of row with a cap, events, and a row that is
found through a link.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from contracts import events, problems, scopes
from contracts.event_types import EventType
from contracts.events import Private
from contracts.money import Money, money
from servicekit.access.admission import Access, Cost
from wallet.application.ports import CarriedOut
from wallet.application.units import Answer
from wallet.domain import outcomes
from wallet.domain.commands import Command, Context
from wallet.domain.facts import EntryFact, Fact, JournalEvent, SystemEntry, Transaction, body_of
from wallet.domain.money import MoneyCommand, external_account
from wallet.domain.outcomes import Accepted, Decision, Missing, RefusalCode, Rejected, Subject, missing_wallet
from wallet.domain.rows import RowKind, RowName, Rows, StateName, StateRow
from wallet.domain.sides import refuse_credit
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Wallet
from wallet.entrypoints.bodies import TransactionBody
from wallet.entrypoints.fields import Amount, amount_minor_of
from wallet.entrypoints.rendering import answer_transaction
from wallet.entrypoints.slices import CommandSlice


class Voucher(msgspec.Struct, frozen=True):
    """What a voucher's row holds besides its columns."""

    currency: str


class VoucherIssuedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet has issued a voucher."""

    wallet_id: str
    voucher_id: str
    cap_minor: int


class VoucherUsedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a voucher was paid."""

    wallet_id: str
    voucher_id: str
    used_minor: int


VOUCHER: Final = RowKind(99, "voucher", Voucher)
ISSUED: Final = EventType(901, "wallet.voucher_issued.v1", VoucherIssuedBody)
REDEEMED: Final = EventType(902, "wallet.voucher_redeemed.v1", events.EntryPosted)
USED: Final = EventType(903, "wallet.voucher_used.v1", VoucherUsedBody)


class VoucherIssued(Fact, frozen=True, kw_only=True):
    """A voucher is there from now on."""

    event: ClassVar[EventType] = ISSUED
    changes_states: ClassVar[bool] = True
    voucher_id: UUID
    cap_minor: int

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        assert wallet is not None
        return wallet.moved(0, 0, at)

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        wallet = rows[self.wallet_id]
        assert isinstance(wallet, Wallet)
        voucher = StateRow(
            kind=VOUCHER.number,
            id=self.voucher_id,
            tenant_id=wallet.tenant_id,
            wallet_id=wallet.id,
            status=0,
            cap_minor=self.cap_minor,
            used_minor=0,
            due_at=None,
            version=1,
            changed_at=at,
            body=Voucher(wallet.currency),
            private=None,
        )
        return (voucher,)

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        del transaction, private
        return VoucherIssuedBody(wallet_id=str(wallet.id), voucher_id=str(self.voucher_id), cap_minor=self.cap_minor)

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        told = body_of(event, VoucherIssuedBody)
        return cls(event.account_id, voucher_id=UUID(told.voucher_id), cap_minor=told.cap_minor)


class VoucherUsed(Fact, frozen=True, kw_only=True):
    """*used_minor* of the voucher was paid: an event of the wallet that issued it, whose row the voucher is."""

    event: ClassVar[EventType] = USED
    changes_states: ClassVar[bool] = True
    voucher_id: UUID
    used_minor: int

    def evolve(self, wallet: Wallet | None, at: datetime) -> Wallet:
        assert wallet is not None
        return wallet.moved(0, 0, at)

    def evolve_states(self, rows: Rows, at: datetime) -> Sequence[StateRow]:
        voucher = rows[StateName(VOUCHER.number, self.voucher_id)]
        assert isinstance(voucher, StateRow)
        used_minor = voucher.used_minor + self.used_minor
        is_used_up = used_minor == voucher.cap_minor
        return (
            msgspec.structs.replace(
                voucher, used_minor=used_minor, status=int(is_used_up), version=voucher.version + 1, changed_at=at
            ),
        )

    def payload(self, wallet: Wallet, transaction: Transaction | None, private: Private | None) -> msgspec.Struct:
        del transaction, private
        return VoucherUsedBody(wallet_id=str(wallet.id), voucher_id=str(self.voucher_id), used_minor=self.used_minor)

    @classmethod
    def read(cls, event: JournalEvent) -> "Fact":
        told = body_of(event, VoucherUsedBody)
        return cls(event.account_id, voucher_id=UUID(told.voucher_id), used_minor=told.used_minor)


class VoucherRedeemed(EntryFact, frozen=True):
    """A wallet was paid by a voucher."""

    event: ClassVar[EventType] = REDEEMED


class IssueVoucher(Command, frozen=True):
    """Issue a voucher of *amount_minor* in a wallet's name."""

    kind: ClassVar[str] = "issue_voucher"
    wallet_id: UUID
    amount_minor: int
    voucher_id: UUID | None = None

    def names(self, known: Rows) -> tuple[RowName, ...]:
        del known
        if self.voucher_id is None:
            return (self.wallet_id,)
        return (self.wallet_id, StateName(VOUCHER.number, self.voucher_id))

    def decide(self, rows: Rows, context: Context) -> Decision:
        wallet = context.any(rows, self.wallet_id)
        if wallet is None:
            return missing_wallet(self.wallet_id)
        voucher_id = self.voucher_id or context.ids.beside(wallet.id)
        return Accepted(
            (VoucherIssued(wallet.id, voucher_id=voucher_id, cap_minor=self.amount_minor),), resource_id=voucher_id
        )


class RedeemVoucher(MoneyCommand, frozen=True):
    """Pay *amount_minor* of a voucher to a wallet."""

    kind: ClassVar[str] = "redeem_voucher"
    voucher_id: UUID
    wallet_id: UUID
    amount_minor: int
    currency: str
    text: FreeText | None = None

    def names(self, known: Rows) -> tuple[RowName, ...]:
        name = StateName(VOUCHER.number, self.voucher_id)
        voucher = known.get(name)
        if isinstance(voucher, StateRow) and voucher.wallet_id is not None:
            return (self.wallet_id, name, voucher.wallet_id)
        return (self.wallet_id, name)

    def decide(self, rows: Rows, context: Context) -> Decision:
        voucher = rows.state(VOUCHER, self.voucher_id, context.mandate.tenant_id)
        if voucher is None:
            return Missing(VOUCHER.name, self.voucher_id)
        assert voucher.wallet_id is not None
        issuer = context.any(rows, voucher.wallet_id)
        payee = context.any(rows, self.wallet_id)
        if payee is None:
            return missing_wallet(self.wallet_id)
        assert issuer is not None
        assert voucher.cap_minor is not None
        remaining_minor = voucher.cap_minor - voucher.used_minor
        if issuer.is_closed or self.amount_minor > remaining_minor:
            facts = {"available": outcomes.Amount(remaining_minor, self.currency)}
            return Rejected(RefusalCode.INSUFFICIENT_FUNDS, Subject(VOUCHER.name, voucher.id), facts)
        refusal = refuse_credit(payee, self.amount_minor, self.currency, context.mandate)
        if refusal is not None:
            return refusal
        outside = external_account(payee.currency)
        transaction_id = context.ids.beside(payee.id)
        redeemed = VoucherRedeemed(payee.id, self.amount_minor, 0, outside)
        balancing = SystemEntry(payee.id, -self.amount_minor, outside)
        used = VoucherUsed(issuer.id, voucher_id=voucher.id, used_minor=self.amount_minor)
        return Accepted((redeemed, balancing, used), transaction_id, transaction_id)


class IssueVoucherRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Issue a voucher."""

    wallet_id: UUID
    amount: Amount


class RedeemVoucherRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Redeem a voucher, or a part of it."""

    wallet_id: UUID
    amount: Amount


class VoucherBody(msgspec.Struct, frozen=True):
    """A voucher."""

    id: UUID
    cap: Money
    used: Money


def _issue(request: IssueVoucherRequest, _path_id: UUID | None, pointer: str) -> IssueVoucher:
    return IssueVoucher(request.wallet_id, amount_minor_of(request.amount, pointer))


def _redeem(request: RedeemVoucherRequest, voucher_id: UUID | None, pointer: str) -> RedeemVoucher:
    assert voucher_id is not None
    amount_minor = amount_minor_of(request.amount, pointer)
    return RedeemVoucher(voucher_id, request.wallet_id, amount_minor, request.amount.currency)


def _answer_voucher(_command: IssueVoucher, done: CarriedOut) -> Answer:
    (voucher,) = done.states
    assert isinstance(voucher.body, Voucher)
    assert voucher.cap_minor is not None
    currency = voucher.body.currency
    body = VoucherBody(voucher.id, money(voucher.cap_minor, currency), money(voucher.used_minor, currency))
    return 201, msgspec.json.encode(body)


SLICES: Final = (
    CommandSlice(
        command=IssueVoucher,
        facts=(VoucherIssued,),
        kinds=(VOUCHER,),
        request=IssueVoucherRequest,
        to_command=_issue,
        answer=_answer_voucher,
        path="/v1/vouchers",
        located_at="/v1/vouchers/",
        access=Access(scopes.DEPOSITS_CREATE, None, Cost.COMMAND),
        operation_id="issue_voucher",
        summary="Issue a voucher",
        tag="vouchers",
        status=201,
        response=VoucherBody,
        problems=(problems.WALLET_NOT_FOUND,),
    ),
    CommandSlice(
        command=RedeemVoucher,
        facts=(VoucherRedeemed, VoucherUsed),
        kinds=(VOUCHER,),
        request=RedeemVoucherRequest,
        to_command=_redeem,
        answer=answer_transaction,
        path="/v1/vouchers/{voucher_id}/redeem",
        located_at="/v1/transactions/",
        access=Access(scopes.DEPOSITS_CREATE, None, Cost.COMMAND),
        operation_id="redeem_voucher",
        summary="Redeem a voucher",
        tag="vouchers",
        status=201,
        response=TransactionBody,
        problems=(problems.WALLET_NOT_FOUND, problems.INSUFFICIENT_FUNDS),
    ),
)
TYPES: Final = {each.number: each for each in (ISSUED, REDEEMED, USED)}
