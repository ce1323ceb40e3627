"""The fonts that statements are set in: files of two packages, known by their bytes."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from fontTools.ttLib import TTFont


class FontsUnusable(RuntimeError):
    """A font is not there, or is another than statements are set in."""


class FontFile(NamedTuple):
    """A file of a package; *sha256* is of its bytes."""

    package: str
    name: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is. Raises FontsUnusable where the package is not installed."""
        try:
            found = import_module(self.package).__file__
        except ImportError:
            raise FontsUnusable(f"the package {self.package} is not installed") from None
        assert found is not None
        return Path(found).parent / "files" / self.name


_LATIN: Final = "fontpkg_ibm_plex_sans"
_ARABIC: Final = "fontpkg_ibm_plex_sans_arabic"
FONTS: Final = (
    FontFile(_LATIN, "IBMPlexSans[wdth,wght].ttf", "3b031aa4216174205bd8471f88a49b91f093169e9e87bd5262242bc5967fe2e3"),
    FontFile(
        _ARABIC, "IBMPlexSansArabic-Regular.ttf", "6f611412270a132bbac838da9259d4c68569b4175f3b3b8fa3fa36a30b56dab9"
    ),
    FontFile(
        _ARABIC, "IBMPlexSansArabic-SemiBold.ttf", "597bd5502e5997be4414e4c9c88834b30ff3784250c84f20bce2b20e53ebd467"
    ),
)
"""The first has all its weights in one file. With other bytes, a statement would have others: `TEMPLATE_VERSION`."""


def check_fonts(fonts: Sequence[FontFile] = FONTS) -> None:
    """Raise FontsUnusable unless each of *fonts* is there, with the bytes that statements are set in."""
    for font in fonts:
        try:
            found = hashlib.sha256(font.path.read_bytes()).hexdigest()
        except OSError:
            raise FontsUnusable(f"{font.name} of the package {font.package} cannot be read") from None
        if found != font.sha256:
            raise FontsUnusable(f"{font.name} of the package {font.package} is not the font that is expected")


def font_folders() -> list[str]:
    """Return the folders that fonts are loaded from."""
    return sorted({str(font.path.parent) for font in FONTS})


@lru_cache(maxsize=1)
def covered_characters() -> tuple[frozenset[int], ...]:
    """Return the characters that each family has: those that all its weights have."""
    by_family: dict[str, frozenset[int]] = {}
    for font in FONTS:
        with TTFont(font.path, lazy=True) as opened:
            characters = frozenset(opened.getBestCmap())
        by_family[font.package] = by_family.get(font.package, characters) & characters
    return tuple(by_family.values())
