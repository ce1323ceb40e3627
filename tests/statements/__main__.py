"""Make the pictures of the docs, and write down what the samples' bytes are: `python -m tests.statements`."""

import json
from pathlib import Path
from typing import Final

import msgspec
import typst
from tests.statements.samples import BYTES, figures_of, lines_of, sample_hashes

from transaction_history.rendering import TEMPLATE_VERSION
from transaction_history.rendering.document import Composer
from transaction_history.rendering.fonts import covered_characters, font_folders
from transaction_history.rendering.setting import TEMPLATE
from transaction_history.rendering.wording import WORDINGS

FOLDER: Final = Path(__file__).parents[2] / "docs" / "history"
LINES: Final = 24
PIXELS_PER_INCH: Final = 96


def picture(locale: str) -> bytes:
    """Return the first page in *locale* as PNG."""
    lines = lines_of(LINES, locale=locale)
    composer = Composer(figures_of(lines, locale=locale), covered=covered_characters())
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=font_folders())
    compiler = typst.Compiler(str(TEMPLATE), font_paths=fonts, ignore_system_fonts=True)
    document = msgspec.json.encode(composer.document(lines, 1, 1)).decode()
    pages = compiler.compile(format="png", ppi=PIXELS_PER_INCH, sys_inputs={"document": document})
    assert isinstance(pages, list)
    return pages[0]


def main() -> None:
    """Write a picture for each locale, and the hashes."""
    BYTES.write_text(json.dumps({"template_version": TEMPLATE_VERSION, "sha256": sample_hashes()}, indent=2) + "\n")
    for locale in WORDINGS:
        file = FOLDER / f"statement-{locale}.png"
        file.write_bytes(picture(locale))
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
