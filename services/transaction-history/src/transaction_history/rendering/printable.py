"""Text as it can be set: without controls, and with the code of each character that no font has. Pure."""

import unicodedata
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import regex

_CLUSTER: Final = regex.compile(r"\X")
_JOINERS: Final = frozenset("\u200c\u200d")
"""They shape what stands beside them, and need no glyph."""
_UNSEEN: Final = regex.compile(r"[\p{Cc}\p{Default_Ignorable_Code_Point}]")
"""Among them the embeddings, overrides and isolates that would order what stands around the text, too."""
_WORD_LONG: Final = regex.compile(r"\S{25,}")
_PIECE: Final = regex.compile(r"\X{1,12}")
MAY_BREAK: Final = "\N{ZERO WIDTH SPACE}"
"""Where a line may end, for the template: in the PDF it would be read as a space."""


class Printable(NamedTuple):
    """*text* has no character that cannot be set; *unknown* is how many are shown as their codes instead."""

    text: str
    unknown: int


def printable(text: str, covered: Collection[AbstractSet[int]]) -> Printable:
    """Return *text* as it can be set in fonts that have the characters *covered*, each one's by itself.

    White space becomes single spaces, control characters and unseen ones are left out. Composed by NFC. What one font
    does not have together with its marks becomes `U+4E2D`. Words of 25 characters or more may be broken.
    """
    composed = unicodedata.normalize("NFC", text)
    if not _UNSEEN.search(composed) and _is_covered(composed, covered):
        return Printable(_laid_out(composed), 0)
    pieces: list[str] = []
    unknown = 0
    for cluster in _CLUSTER.findall(composed):
        seen = _seen(cluster)
        if not seen:
            continue
        if _is_covered(seen, covered):
            pieces.append(seen)
            continue
        for each in seen:
            if _is_covered(each, covered) and not unicodedata.category(each).startswith("M"):
                pieces.append(each)
            else:
                pieces.append(f" U+{ord(each):04X} ")
                unknown += 1
    return Printable(_laid_out("".join(pieces)), unknown)


def _seen(cluster: str) -> str:
    """Return *cluster* with spaces for white space, and without what is not seen."""
    kept = (" " if each.isspace() else each for each in cluster)
    return "".join(each for each in kept if each in _JOINERS or not _UNSEEN.match(each))


def _is_covered(text: str, covered: Collection[AbstractSet[int]]) -> bool:
    """Return whether one font has all of *text*: marks are set in the font of what they stand on."""
    needed = {ord(each) for each in text if each not in _JOINERS}
    return any(needed <= characters for characters in covered)


def _laid_out(text: str) -> str:
    """Return *text* with single spaces, and with places where long words may be broken."""
    return _WORD_LONG.sub(_breakable, " ".join(text.split()))


def _breakable(word: regex.Match[str]) -> str:
    return MAY_BREAK.join(_PIECE.findall(word[0]))
