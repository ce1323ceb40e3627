"""Judging answers: each against what the model says, and each repeat against the first."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from demo.findings import Findings
from demo.http_client import Response
from demo.money import from_text
from demo.states import Entry, Expected, ExpectedBatch

KEY_REUSED: Final = Expected(422, "idempotency_key_reused")
_STORED: Final = frozenset({200, 201, 409})
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Known:
    """The ids of wallets by name, and which of them a command had to itself: those show what the model says."""

    ids: Mapping[str, str] = field(default_factory=dict)
    alone: Collection[str] = ()


def complaints(expected: Expected, status: int, body: dict[str, Any], known: Known) -> Iterator[str]:
    """Give what is wrong with the answer to one command."""
    if status != expected.status:
        yield f"answered {status} {body.get('code', '')} where the model says {expected.status} {expected.code or ''}"
        return
    if expected.code is not None and body["code"] != expected.code:
        yield f"refused with {body['code']} where the model says {expected.code}"
        return
    for name, value in expected.shows.items():
        if body.get(name) != value:
            yield f"{name} is {body.get(name)} where the model says {value}"
    if expected.entries:
        yield from _transaction_complaints(expected, body, known)


def _transaction_complaints(expected: Expected, body: dict[str, Any], known: Known) -> Iterator[str]:
    answered = body["entries"]
    if len(answered) != len(expected.entries):
        yield f"{len(answered)} entries where the model says {len(expected.entries)}"
        return
    for entry, told in zip(expected.entries, answered, strict=True):
        yield from _entry_complaints(entry, told, known)
    ids = known.ids
    fees = sorted((fee["wallet_id"], fee["rule"], _minor(fee["amount"])) for fee in body.get("fees", ()))
    wanted = sorted((ids.get(fee.wallet, fee.wallet), fee.rule, fee.minor) for fee in expected.fees)
    if fees != wanted:
        yield f"the fees are {fees} where the model says {wanted}"


def _entry_complaints(entry: Entry, told: dict[str, Any], known: Known) -> Iterator[str]:
    account = known.ids.get(entry.account) if entry.is_wallets else entry.account
    actual = (told.get("wallet_id") or told["system_account"], _minor(told["amount"]))
    wanted = (actual[0] if account is None else account, entry.delta_minor)
    if actual != wanted:
        yield f"{entry.account}: the entry is {actual} where the model says {wanted}"
    if not entry.is_wallets:
        return
    is_concealed = "balance_after" not in told and "version" not in told
    if is_concealed != entry.is_concealed:
        yield f"{entry.account}: a balance is{' not' if is_concealed else ''} told where the model says otherwise"
    elif not is_concealed and entry.account in known.alone:
        after = (_minor(told["balance_after"]), told["version"])
        said = (entry.posted_minor_after, entry.version_after)
        if after != said:
            yield f"{entry.account}: balance and version after are {after} where the model says {said}"


def _minor(money: dict[str, str]) -> int:
    return from_text(money["amount"], money["currency"])


def batch_complaints(expected: ExpectedBatch, status: int, body: dict[str, Any], known: Known) -> Iterator[str]:
    """Give what is wrong with the answer to a batch."""
    if status != expected.status:
        yield f"answered {status} {body.get('code', '')} where the model says {expected.status}"
    elif expected.refusal is not None:
        actual = (body["code"], body["index"], body["problem"]["code"])
        if actual != ("batch_refused", expected.index, expected.refusal.code):
            yield f"refused as {actual} where the model says {expected.refusal.code} at {expected.index}"
    elif len(body["results"]) != len(expected.results):
        yield f"{len(body['results'])} results for {len(expected.results)} commands"
    else:
        for each, result in zip(expected.results, body["results"], strict=True):
            yield from complaints(each, result["status"], result["body"] or result["problem"], known)


def compare_replays(findings: Findings, key: str, answers: Collection[Response], *, is_independent: bool) -> None:
    """Check that *answers* to one request under one key are the same, byte for byte (I10).

    The answer to an independent batch says of each command whether it was replayed; that alone may differ.
    """
    first, *others = (_essence(answer, is_independent=is_independent) for answer in answers)
    for other in others:
        findings.judge("I10", "{}: {} and then {}", key, first, other, is_right=other == first)


def expect_replayed(findings: Findings, key: str, answer: Response) -> None:
    """Check that a repeat of a stored answer says that it is one (I10)."""
    if answer.status in _STORED:
        is_marked = answer.headers.get("idempotency-replayed") == "true"
        findings.judge("I10", "{}: the repeat does not say that it is one", key, is_right=is_marked)


def _essence(answer: Response, *, is_independent: bool) -> tuple[Any, ...]:
    body: Any = answer.body
    if is_independent and answer.status == 200:  # noqa: PLR2004 - the status of a batch
        body = [{**result, "replayed": None} for result in _decode(answer.body)["results"]]
    return (answer.status, body, answer.headers.get("location"), answer.headers.get("ledger-position"))
