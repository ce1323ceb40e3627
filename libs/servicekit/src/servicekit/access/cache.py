"""Credentials that were verified or refused, by the SHA-256 of the header; dropped when a change says so.

The cache is bounded: the least recently used credential goes first. A refusal is kept for a moment, so that a bad
credential repeated costs a look-up of memory and no more.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from servicekit.access.credentials import Credential, Refused

CREDENTIALS_MAX: Final = 16_384
REFUSALS_MAX: Final = 4_096
REFUSAL_S: Final = 10.0


class CredentialCache:
    """What is known of credentials. *generation* grows with each change of an entity that it was told of."""

    def __init__(self, *, credentials_max: int = CREDENTIALS_MAX, refusals_max: int = REFUSALS_MAX) -> None:
        self._credentials: OrderedDict[bytes, Credential] = OrderedDict()
        self._refusals: OrderedDict[bytes, tuple[Refused, float]] = OrderedDict()
        self._credentials_max = credentials_max
        self._refusals_max = refusals_max
        self._standing: dict[UUID, set[bytes]] = {}
        self.generation = 0

    def __len__(self) -> int:
        return len(self._credentials)

    def credential(self, digest: bytes) -> Credential | None:
        """Return the credential under *digest*, and keep it longest from now on."""
        found = self._credentials.get(digest)
        if found is not None:
            self._credentials.move_to_end(digest)
        return found

    def refusal(self, digest: bytes, now_s: float) -> Refused | None:
        """Return why the credential under *digest* was refused a moment ago (*now_s* is on the monotonic clock)."""
        found = self._refusals.get(digest)
        if found is None:
            return None
        if found[1] <= now_s:
            self.forget(digest)
            return None
        return found[0]

    def keep(self, digest: bytes, learnt: Credential | Refused, now_s: float) -> None:
        """Keep what was learnt of the credential under *digest*."""
        self.forget(digest)
        if isinstance(learnt, Credential):
            if len(self._credentials) >= self._credentials_max:
                self.forget(next(iter(self._credentials)))
            self._credentials[digest] = learnt
        else:
            if len(self._refusals) >= self._refusals_max:
                self.forget(next(iter(self._refusals)))
            self._refusals[digest] = learnt, now_s + REFUSAL_S
        for entity_id in learnt.stands_on:
            self._standing.setdefault(entity_id, set()).add(digest)

    def forget(self, digest: bytes) -> None:
        """Drop what is known of the credential under *digest*."""
        credential = self._credentials.pop(digest, None)
        refused = self._refusals.pop(digest, (None, 0.0))[0]
        known = credential or refused
        for entity_id in known.stands_on if known is not None else ():
            standing = self._standing[entity_id]
            standing.discard(digest)
            if not standing:
                del self._standing[entity_id]

    def drop(self, entity_ids: Iterable[UUID]) -> None:
        """Drop all that stands on one of *entity_ids*, which have changed."""
        self.generation += 1
        for entity_id in entity_ids:
            for digest in list(self._standing.get(entity_id, ())):
                self.forget(digest)

    def clear(self) -> None:
        """Drop everything."""
        self.generation += 1
        self._credentials.clear()
        self._refusals.clear()
        self._standing.clear()
