"""The one port through which free text is read, be it indexed, searched, listed or exported."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from contracts.events import Private

NO_TEXT: Final = Private(
    key_id=None, reference=None, description=None, metadata=None, label=None, destination=None, reason=None
)
_decode: Final = msgspec.json.Decoder(Private).decode


class Sealed(NamedTuple):
    """Free text as an event carries it, and whose it is; None where the event has none."""

    tenant_id: UUID
    owner_id: str
    private: Private | None


class PrivateText(Protocol):
    """Opens free text."""

    async def opened(self, sealed: Sequence[Sealed]) -> Sequence[Private]:
        """Return each of *sealed* in clear, in their order."""
        ...


class ClearText:
    """The form of today: free text stands in clear, and is passed on."""

    async def opened(self, sealed: Sequence[Sealed]) -> Sequence[Private]:
        """Return each of *sealed* as it stands."""
        return [NO_TEXT if each.private is None else each.private for each in sealed]


class Written(Protocol):
    """A row with free text, JSON as an event carries it, and whose it is."""

    @property
    def tenant_id(self) -> UUID:
        """Whose tenant it is of."""
        ...

    @property
    def owner_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def private(self) -> str | None:
        """The free text; None where there is none."""
        ...


async def texts_of(private_text: PrivateText, rows: Sequence[Written]) -> Sequence[Private]:
    """Return the free text of *rows* in clear, in their order."""
    return await private_text.opened([Sealed(row.tenant_id, row.owner_id, stored_private(row.private)) for row in rows])


def stored_private(stored: str | None) -> Private | None:
    """Return the free text that a row's column *private* holds as JSON."""
    return None if stored is None else _decode(stored)
