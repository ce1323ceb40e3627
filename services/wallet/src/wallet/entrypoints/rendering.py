"""What results are answered over HTTP: a status and the bytes of a body, made once and stored as they are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import msgspec
from msgspec import UNSET

from contracts import problems
from contracts.money import Money, money
from contracts.problems import PROBLEM_CODES
from servicekit.http.problems import is_problem, render_problem
from wallet.application.ports import CarriedOut
from wallet.application.units import Answer, Done, Refused, Result
from wallet.domain.commands import Command
from wallet.domain.fee_facts import FeeCharged
from wallet.domain.outcomes import Amount, FactValue, Rejected
from wallet.domain.refund_commands import TakeBack
from wallet.domain.refunds import FeeReturned
from wallet.domain.texts import FreeText
from wallet.entrypoints.bodies import (
    BatchBody,
    CommandResult,
    EntryBody,
    FeeBody,
    TransactionBody,
    entry_body,
    fee_body,
    wallet_body,
)

OK: Final = 200
CREATED: Final = 201
_NO_TEXT: Final = FreeText()
_encode = msgspec.json.Encoder().encode


class _StoredProblem(msgspec.Struct):
    """A refusal as it was rendered; an atomic batch's has the refused command's inside."""

    code: str
    problem: "_StoredProblem | None" = None


_decode_problem = msgspec.json.Decoder(_StoredProblem).decode


Answers = Mapping[type[Command], Callable[[Any, CarriedOut], Answer]]
"""How each command is answered."""


class JsonRenderer:
    """Renders resources and problem documents: see the port `Renderer`. An answer is (status, body)."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def accepted(self, command: Command, done: CarriedOut) -> Answer:
        return self._answers[type(command)](command, done)

    def rejected(self, rejected: Rejected, path: str | None) -> Answer:
        code, subject = PROBLEM_CODES[rejected.code], rejected.subject
        detail = f"{subject.kind.capitalize()} {subject.id}: {code.title[0].lower()}{code.title[1:]}."
        facts: dict[str, Any] = {f"{subject.kind}_id": subject.id}
        facts |= {name: _fact(value) for name, value in rejected.facts.items()}
        return code.status, render_problem(code, detail, instance=path, **facts)

    def batch(self, answers: Sequence[Answer]) -> Answer:
        results = [CommandResult(status, msgspec.Raw(body), None, replayed=False) for status, body in answers]
        return OK, _encode(BatchBody(results))

    def rejected_batch(self, rejected: Rejected, index: int, path: str | None) -> Answer:
        code = problems.BATCH_REFUSED
        _, problem = self.rejected(rejected, path)
        detail = f"Command {index} is refused; nothing was done."
        return code.status, render_problem(code, detail, instance=path, index=index, problem=msgspec.Raw(problem))

    def result_of(self, answer: Answer) -> Result:
        status, body = answer
        if not is_problem(status):
            return Done()
        problem = _decode_problem(body)
        return Refused((problem.problem or problem).code)


def answer_wallet(_command: Command, done: CarriedOut) -> Answer:
    """Answer with the wallet that was changed."""
    return OK, _encode(wallet_body(done.facts[0][1], done.mandate))


def answer_new_wallet(_command: Command, done: CarriedOut) -> Answer:
    """Answer with the wallet that was made."""
    return CREATED, _encode(wallet_body(done.facts[0][1], done.mandate))


class MakesTransaction(Protocol):
    """A command that makes one ledger transaction of one amount."""

    kind: ClassVar[str]

    @property
    def amount_minor(self) -> int:
        """How much it moves."""
        ...

    @property
    def currency(self) -> str:
        """Of what."""
        ...

    @property
    def text(self) -> FreeText | None:
        """Its free text."""
        ...


def answer_transaction(command: MakesTransaction, done: CarriedOut) -> Answer:
    """Answer with the ledger transaction that was made."""
    amount = money(command.amount_minor, command.currency)
    return CREATED, _encode(_transaction(command.kind, amount, command.text, done))


class SaysNoAmount(Protocol):
    """A command that makes one ledger transaction, whose amount follows from what it names."""

    kind: ClassVar[str]

    @property
    def text(self) -> FreeText | None:
        """Its free text."""
        ...


def answer_payers_transaction(command: SaysNoAmount, done: CarriedOut) -> Answer:
    """Answer with the ledger transaction that captured a hold or used a quote; how much, its first entry tells."""
    first, payer = next(each for each in done.facts if each[0].is_entry)
    amount = money(-first.amount_minor, payer.currency)
    return CREATED, _encode(_transaction(command.kind, amount, command.text, done))


def answer_refund(command: TakeBack, done: CarriedOut) -> Answer:
    """Answer with the ledger transaction that took another back; how much, its first entry but for fees tells."""
    first, wallet = next(each for each in done.facts if not isinstance(each[0], FeeReturned))
    amount = money(abs(first.amount_minor), wallet.currency)
    body, why = _transaction(command.kind, amount, command.text, done), command.text.reason
    told = msgspec.structs.replace(body, related_transaction_id=command.transaction_id, reason=why or UNSET)
    return CREATED, _encode(told)


def _transaction(kind: str, amount: Money, text: FreeText | None, done: CarriedOut) -> TransactionBody:
    assert done.transaction_id is not None
    told, mandate = text or _NO_TEXT, done.mandate
    entries: list[EntryBody] = []
    fees: list[FeeBody] = []
    for fact, wallet in done.facts:
        if fact.is_entry:
            entries.append(entry_body(fact, wallet, mandate))
        if isinstance(fact, FeeCharged) and mandate.covers(wallet.owner_id):
            fees.append(fee_body(fact, wallet))
    return TransactionBody(
        done.transaction_id,
        kind,
        "posted",
        amount,
        entries,
        money(0, amount.currency),
        fees,
        told.reference,
        told.description,
        told.metadata,
        told.destination,
        done.created_at,
    )


def _fact(value: FactValue) -> Any:
    return money(value.minor, value.currency) if isinstance(value, Amount) else value
