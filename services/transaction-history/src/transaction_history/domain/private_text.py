"""How free text is read: through one port, whoever shows it."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

Texts = Mapping[str, object]
"""Free text by the field it stands in: text, and `metadata` as an object of texts."""


class PrivateText(Protocol):
    """Reads the free text of rows."""

    def texts(self, stored: str | None) -> Texts:
        """Return what a row's column `private` holds, by field; nothing where there is none."""
        ...


class PlainText:
    """Free text that is stored as it is."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(dict[str, object]).decode

    def texts(self, stored: str | None) -> Texts:
        """Return what a row's column `private` holds, by field; nothing where there is none."""
        return {} if stored is None else self._decode(stored)
