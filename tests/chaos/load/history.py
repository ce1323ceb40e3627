"""What the clients asked for and were answered: the checker's only knowledge of what should have happened."""

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.load.client import Response

Entry = tuple[str, int]
"""A wallet's id and the signed minor units that its balance moves by."""

OK = (200, 201)


@dataclass(frozen=True, slots=True)
class Command:
    """One request under its key; *entries* are what it posts when accepted, one tuple per money command in it."""

    kind: str
    key: str
    path: str
    body: dict[str, Any]
    entries: tuple[tuple[Entry, ...], ...] = ()
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Moved:
    """A ledger transaction that a client was told of."""

    transaction_id: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A command's definite outcome, after *attempts* under one key.

    *was_found*: it was done already when it was answered. *is_anothers*: its key is of another client than the bank.
    """

    command: Command
    answer: Response
    attempts: int
    was_found: bool
    moved: tuple[Moved, ...]
    is_anothers: bool = False


@dataclass(slots=True)
class History:
    """Everything that was asked and answered."""

    done: list[Done] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    repeats: int = 0
    unanswered: int = 0

    def settle(self, command: Command, answer: Response, *, attempts: int, is_anothers: bool = False) -> Done:
        """Record the definite *answer* of *command*."""
        was_found = answer.headers.get("idempotency-replayed") == "true"
        done = Done(command, answer, attempts, was_found, moved(command, answer), is_anothers)
        self.done.append(done)
        return done

    def compare(self, first: Done, again: Response) -> None:
        """Record whether a repeat was told what the first request was."""
        self.repeats += 1
        if again.told() != first.answer.told() and not _is_alike_batch(first, again):
            self.unlike.append(f"{first.command.kind} {first.command.key}: {first.answer.told()} then {again.told()}")


def moved(command: Command, answer: Response) -> tuple[Moved, ...]:
    """Return the transactions that *answer* tells of."""
    if answer.status not in OK or not command.entries:
        return ()
    body = answer.json()
    if "results" not in body:
        return (_moved(body, command.entries[0]),)
    results = zip(body["results"], command.entries, strict=True)
    return tuple(_moved(result["body"], entries) for result, entries in results if result["status"] in OK)


def _moved(body: dict[str, Any], entries: tuple[Entry, ...]) -> Moved:
    """Return the transaction with the fees that the answer tells of; without *entries*, all as the answer tells it."""
    if not entries:
        told = [each for each in body["entries"] if "wallet_id" in each]
        return Moved(body["id"], tuple((each["wallet_id"], minor_of(each["amount"])) for each in told))
    fees = tuple((fee["wallet_id"], -minor_of(fee["amount"])) for fee in body["fees"])
    return Moved(body["id"], (*entries, *fees))


def minor_of(amount: dict[str, str]) -> int:
    """Return an amount of two decimals in minor units."""
    return round(100 * float(amount["amount"]))


def is_definite(answer: Response) -> bool:
    """Return whether *answer* settles the command: not an overload, an unknown outcome or a key in flight."""
    if answer.status in OK and b'"results"' in answer.body:
        return all(_is_definite(result["status"], result["problem"]) for result in answer.json()["results"])
    problem = answer.json() if answer.status >= 400 else None
    return _is_definite(answer.status, problem)


def _is_definite(status: int, problem: dict[str, Any] | None) -> bool:
    return status < 500 and (problem is None or problem.get("code") != "in_flight")


def _is_alike_batch(first: Done, again: Response) -> bool:
    """Return whether a batch was told the same again, but for the marks of what was replayed."""
    if b'"results"' not in again.body or again.status != first.answer.status:
        return False
    return _unmarked(first.answer) == _unmarked(again)


def _unmarked(answer: Response) -> list[Any]:
    return [{**result, "replayed": None} for result in answer.json()["results"]]
