"""What running processes have logged, beside the page of all lines."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from observability.log_lines import log_lines
from observability.logs_page import FOLDERS, by_action

_EVERYWHERE: Final = {
    "action", "level", "timestamp", "service", "process", "trace_id", "span_id", "exception",
}  # fmt: skip


def strangers_of_the_page(folder: Path, processes: Iterable[str]) -> set[str]:
    """Return what `docs/logs.md` lacks of the lines in the logs of *processes* below *folder*: action and field."""
    known = {
        action: {field for line in lines for field in line.fields} | _EVERYWHERE
        for action, lines in by_action(log_lines(FOLDERS)).items()
    }
    strangers = set()
    for process in processes:
        lines = (folder / f"{process}.log").read_text().splitlines()
        for line in (json.loads(text) for text in lines if text.startswith("{")):  # the supervisor writes there too
            missing = line.keys() - known.get(line["action"], set())
            strangers |= {f"{line['action']}: {field}" for field in missing}
    return strangers
