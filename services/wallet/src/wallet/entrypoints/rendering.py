"""What results are answered over HTTP: a status and the bytes of a body, made once and stored as they are."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from contracts import problems
from contracts.money import money
from contracts.problems import PROBLEM_CODES
from servicekit.http.problems import is_problem, render_problem
from wallet.application.units import Answer, Done, Refused, Result
from wallet.domain.commands import Details, MoneyCommand
from wallet.domain.outcomes import Amount, FactValue, Posted, Rejected
from wallet.domain.wallets import Wallet
from wallet.entrypoints.bodies import BatchBody, CommandResult, TransactionBody, entry_body, wallet_body

OK: Final = 200
CREATED: Final = 201
_NO_DETAILS: Final = Details()
_encode = msgspec.json.Encoder().encode


class _StoredProblem(msgspec.Struct):
    """A refusal as it was rendered; an atomic batch's has the refused command's inside."""

    code: str
    problem: "_StoredProblem | None" = None


_decode_problem = msgspec.json.Decoder(_StoredProblem).decode


class JsonRenderer:
    """Renders resources and problem documents: see the port `Renderer`. An answer is (status, body)."""

    def transaction(self, transaction_id: UUID, command: MoneyCommand, posted: Posted, created_at: str) -> Answer:
        """See the port."""
        currency = command.currency
        details = command.details or _NO_DETAILS
        body = TransactionBody(
            transaction_id,
            command.kind,
            "posted",
            money(command.amount_minor, currency),
            [entry_body(leg, currency) for leg in posted.legs],
            money(0, currency),
            details.reference,
            details.description,
            details.metadata,
            details.destination,
            created_at,
        )
        return CREATED, _encode(body)

    def opened(self, wallet: Wallet) -> Answer:
        """See the port."""
        return CREATED, _encode(wallet_body(wallet))

    def changed(self, wallet: Wallet) -> Answer:
        """See the port."""
        return OK, _encode(wallet_body(wallet))

    def rejected(self, rejected: Rejected, path: str | None) -> Answer:
        """See the port."""
        code, subject = PROBLEM_CODES[rejected.code], rejected.subject
        detail = f"{subject.kind.capitalize()} {subject.id}: {code.title[0].lower()}{code.title[1:]}."
        facts: dict[str, Any] = {f"{subject.kind}_id": subject.id}
        facts |= {name: _fact(value) for name, value in rejected.facts.items()}
        return code.status, render_problem(code, detail, instance=path, **facts)

    def batch(self, answers: Sequence[Answer]) -> Answer:
        """See the port."""
        results = [CommandResult(status, msgspec.Raw(body), None, replayed=False) for status, body in answers]
        return OK, _encode(BatchBody(results))

    def rejected_batch(self, rejected: Rejected, index: int, path: str | None) -> Answer:
        """See the port."""
        code = problems.BATCH_REFUSED
        _, problem = self.rejected(rejected, path)
        detail = f"Command {index} is refused; nothing was done."
        return code.status, render_problem(code, detail, instance=path, index=index, problem=msgspec.Raw(problem))

    def result_of(self, answer: Answer) -> Result:
        """See the port."""
        status, body = answer
        if not is_problem(status):
            return Done()
        told = _decode_problem(body)
        return Refused((told.problem or told).code)


def _fact(value: FactValue) -> Any:
    return money(value.minor, value.currency) if isinstance(value, Amount) else value
