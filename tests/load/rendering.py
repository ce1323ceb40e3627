"""How fast statements become PDF, and in how much memory: `python -m tests.load.rendering 200`, of 50 entries each."""

import sys
import time
from dataclasses import replace
from typing import Final

import psutil
from tests.statements.samples import figures_of, lines_of

from transaction_history.rendering import LINES_PER_VOLUME, render
from transaction_history.rendering.wording import WORDINGS

LINES: Final = 50
_MIB: Final = 2**20


def main() -> None:
    """Print rate and memory of so many statements in each locale, then of a full volume."""
    process = psutil.Process()
    for locale in WORDINGS:
        lines = lines_of(LINES, locale=locale)
        figures = figures_of(lines, locale=locale)
        most, began = 0, time.perf_counter()
        for number in range(int(sys.argv[1])):
            own = [replace(line, reference=f"{number}-{line.version}") for line in lines]
            render(replace(figures, number=number), own, 1, 1)
            most = max([most, *(child.memory_info().rss for child in process.children())])
        rate = int(sys.argv[1]) / (time.perf_counter() - began)
        own_mib = process.memory_info().rss / _MIB
        print(f"{locale}: {rate:.1f} statements/s; this process {own_mib:.0f} MiB, its child at most {most / _MIB:.0f}")
    lines = lines_of(LINES_PER_VOLUME)
    began = time.perf_counter()
    size = len(render(figures_of(lines), lines, 1, 1).pdf)
    took = time.perf_counter() - began
    print(f"{LINES_PER_VOLUME} lines: {took:.1f} s, {size / _MIB:.1f} MiB")


if __name__ == "__main__":
    main()
