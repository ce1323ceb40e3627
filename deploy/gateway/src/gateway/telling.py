"""When the gateway was led elsewhere, and when it refused to be: files that the machine's exporter shows as figures."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from servicekit.clock import unix_s

_HELP: Final = "When a gateway's configuration was last {}, in seconds since 1970."


class Told(StrEnum):
    """What became of a configuration."""

    SWITCHED = "switched"
    REFUSED = "refused"


def tell(folder: Path, told: Told) -> None:
    """Write to *folder*, for the exporter's `textfile` collector, that this has just come about."""
    folder.mkdir(exist_ok=True)
    name = f"gateway_{told}_timestamp_seconds"
    word = "taken" if told is Told.SWITCHED else "refused"
    lines = (f"# HELP {name} {_HELP.format(word)}", f"# TYPE {name} gauge", f"{name} {unix_s():.3f}", "")
    partial = folder / f".{told}.partial"
    partial.write_text("\n".join(lines))
    partial.replace(folder / f"{told}.prom")  # the exporter reads the old or the new, never half
