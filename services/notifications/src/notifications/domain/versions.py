"""Whether a wallet's events follow one another. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from contracts.envelope import Envelope


class Contradiction(Exception):
    """The event's version does not follow the wallet's newest one."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest version of a wallet, and the sequence of its event."""

    version: int
    sequence: int


def newest_versions(events: Sequence[Envelope], known: Mapping[UUID, Newest]) -> dict[UUID, Newest]:
    """Return what is newer than *known* of the wallets that *events*, in the order of their shards, speak of.

    An event at or before a wallet's newest one is a repeat. A wallet that is not known may begin anywhere: the topic
    may have been cut. Raises Contradiction.
    """
    newest: dict[UUID, Newest] = {}
    for event in events:
        before = newest.get(event.subject, known.get(event.subject))
        is_repeat = before is not None and event.sequence <= before.sequence
        if event.wallet_version is None or is_repeat:
            continue  # a system account's entry leaves the version alone
        if before is not None and event.wallet_version != before.version + 1:
            raise Contradiction(f"version {event.wallet_version} does not follow {before.version}")
        newest[event.subject] = Newest(event.wallet_version, event.sequence)
    return newest
