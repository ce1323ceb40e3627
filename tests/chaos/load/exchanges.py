"""What each request was told and how long that took: the judge of deadlines and of refusals."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.chaos.load.client import HttpClient, Response, Unanswered

OK = 200
RETRYABLE = frozenset({"overloaded", "unavailable", "outcome_unknown", "in_flight"})
"""The codes that tell a client to come again with the same key."""
LOST = frozenset({"ConnectionRefusedError", "ConnectionResetError", "IncompleteReadError", "BrokenPipeError"})
"""What a client meets whose instance ends or has ended."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request: when it was sent, for how long, what was answered; *told* is the problem's code, or what broke.

    *path* is what it asked for.
    """

    began_s: float
    seconds: float
    status: int | None
    told: str
    has_retry_after: bool = False
    path: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it was answered with what was asked for, or refused by a rule of the ledger."""
        return self.status is not None and self.told not in RETRYABLE and self.status < 500

    def overlaps(self, from_s: float, to_s: float) -> bool:
        """Return whether it was under way at a moment of that time."""
        return self.began_s <= to_s and self.began_s + self.seconds >= from_s


async def timed(
    http: HttpClient, found: list[Exchange], method: str, path: str, body: Any = None, *, key: str | None = None
) -> Response:
    """Send a request and add what came of it to *found*; raises Unanswered as the client does."""
    began_s = time.monotonic()
    try:
        answer = await http.request(method, path, body, key=key)
    except Unanswered as error:
        found.append(Exchange(began_s, time.monotonic() - began_s, None, str(error), path=path))
        raise
    code = answer.json()["code"] if answer.status >= 400 else ""
    seconds, comes_again = time.monotonic() - began_s, "retry-after" in answer.headers
    found.append(Exchange(began_s, seconds, answer.status, code, comes_again, path))
    return answer


def late(exchanges: Iterable[Exchange], within_s: float) -> Iterator[str]:
    """Find requests that took longer than their bound, however they ended."""
    slow = [each for each in exchanges if each.seconds > within_s]
    if slow:
        longest = max(slow, key=lambda each: each.seconds)
        told = longest.told or "an answer"
        yield f"{len(slow)} took longer than {within_s} s: {longest.seconds:.1f} s until {told}, at {longest.path}"


def not_retryable(exchanges: Iterable[Exchange], *, lost: Collection[str] = ()) -> Iterator[str]:
    """Find failures that are neither a refusal to come again after, nor one of what may be *lost* on the way."""
    failed = Counter(f"{each.status or ''} {each.told}".strip() for each in exchanges if not _is_clean(each, lost))
    yield from (f"{count} were answered {told}" for told, count in failed.items())


def _is_clean(each: Exchange, lost: Collection[str]) -> bool:
    if each.status is None:
        return each.told in lost
    return each.is_done or (each.told in RETRYABLE and each.has_retry_after)


def refused(exchanges: Iterable[Exchange]) -> Counter[str]:
    """Count the refusals by their code."""
    return Counter(each.told for each in exchanges if each.told in RETRYABLE)
