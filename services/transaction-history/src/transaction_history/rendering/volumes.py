"""Volumes of statements, rendered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from transaction_history.domain.statement import StatementFigures, StatementLine
from transaction_history.rendering.document import Composer
from transaction_history.rendering.fonts import covered_characters
from transaction_history.rendering.setting import Typesetter

TEMPLATE_VERSION: Final = 1
"""Raised with every change that gives a statement other bytes: of template, words, fonts or typst."""
LINES_PER_VOLUME: Final = 5_000
_TYPESETTER: Final = Typesetter()
"""This process's; it has no child before the first document."""
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedVolume:
    """A PDF; *unknown_characters* is how many characters no font has: they are shown as their codes."""

    pdf: bytes
    unknown_characters: int


def render(figures: StatementFigures, lines: Sequence[StatementLine], volume: int, volumes: int) -> RenderedVolume:
    """Return volume *volume*, from 1, of *volumes*, whose entries are *lines*, at most 5,000.

    Figures, lines and `TEMPLATE_VERSION` alone decide its bytes; it says that it was made at `closed_at`. Blocks for
    about a second per 4,000 lines: to be called in a thread. Raises SettingFailed and FontsUnusable.
    """
    assert 1 <= volume <= volumes
    assert len(lines) <= LINES_PER_VOLUME
    composer = Composer(figures, covered=covered_characters())
    document = _encode(composer.document(lines, volume, volumes))
    timestamp = int(figures.closed_at.timestamp())
    pdf = _TYPESETTER.pdf(document, timestamp=timestamp, lines=len(lines))
    return RenderedVolume(pdf=pdf, unknown_characters=composer.unknown)
