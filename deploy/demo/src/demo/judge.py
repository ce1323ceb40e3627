"""Judging answers: each against what the model says, and each repeat against the first."""

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from demo.findings import Findings
from demo.http_client import Response
from demo.model import Entry, Expected, ExpectedBatch
from demo.money import from_text

KEY_REUSED: Final = Expected(422, "idempotency_key_reused")
_STORED: Final = frozenset({200, 201, 409})
_decode = msgspec.json.Decoder().decode


def complaints(expected: Expected, status: int, body: dict[str, Any], ids: dict[str, str]) -> Iterator[str]:
    """Give what is wrong with the answer to one command.

    *ids* are the wallets that the command had to itself: their balance and version after it are known.
    """
    if status != expected.status:
        yield f"answered {status} {body.get('code', '')} where the model says {expected.status} {expected.code or ''}"
    elif expected.code is not None and body["code"] != expected.code:
        yield f"refused with {body['code']} where the model says {expected.code}"
    elif expected.entries:
        answered = {entry["wallet_id"]: entry for entry in body["entries"] if "wallet_id" in entry}
        if len(answered) != len(expected.entries):
            yield f"{len(answered)} wallets have entries where the model says {len(expected.entries)}"
        concealed = sum(1 for entry in answered.values() if "balance_after" not in entry and "version" not in entry)
        if concealed != expected.concealed:
            yield f"{concealed} entries tell no balance where the model says {expected.concealed}"
            return
        for entry in expected.entries:
            if entry.wallet in ids:
                yield from _entry_complaints(entry, answered.get(ids[entry.wallet]))


def _entry_complaints(entry: Entry, answered: dict[str, Any] | None) -> Iterator[str]:
    if answered is None:
        yield f"no entry for {entry.wallet}"
        return
    after = answered["balance_after"]
    actual = (
        from_text(answered["amount"]["amount"], answered["amount"]["currency"]),
        from_text(after["amount"], after["currency"]),
        answered["version"],
    )
    wanted = (entry.delta_minor, entry.posted_minor_after, entry.version_after)
    if actual != wanted:
        yield f"{entry.wallet}: amount, balance and version after are {actual} where the model says {wanted}"


def batch_complaints(expected: ExpectedBatch, status: int, body: dict[str, Any], ids: dict[str, str]) -> Iterator[str]:
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
            yield from complaints(each, result["status"], result["body"] or result["problem"], ids)


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
