"""The pinned files of the event registry: a JSON Schema and a sample per published type.

`python -m contracts.schema_files` writes what is missing. A file that exists is never rewritten: a published type does
not change, and `tests/test_event_registry.py` fails where code and file disagree.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from contracts.event_types import EventType, json_schema
from contracts.registry import PUBLISHED_TYPES

FOLDER: Final = Path(__file__).parent
SCHEMAS: Final = FOLDER / "schemas"
SAMPLES: Final = FOLDER / "samples"


def schema_file(event_type: EventType) -> Path:
    """Return where the type's schema is pinned."""
    return SCHEMAS / f"{event_type.name}.json"


def sample_files(event_type: EventType) -> list[Path]:
    """Return the samples that were ever published of the type, oldest first."""
    return sorted(SAMPLES.glob(f"{event_type.name}.*.json"))


def schema_text(event_type: EventType) -> str:
    """Return the schema as its file holds it."""
    return json.dumps(json_schema(event_type), indent=2, sort_keys=True) + "\n"


def write_missing() -> Iterator[Path]:
    """Write the schemas that have no file yet; yield what was written."""
    for event_type in PUBLISHED_TYPES.values():
        file = schema_file(event_type)
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(schema_text(event_type))
            yield file


def read_sample(file: Path) -> Any:
    """Return a sample: `{"headers": {…}, "data": {…}}`."""
    return json.loads(file.read_text())


if __name__ == "__main__":
    for written in write_missing():
        sys.stdout.write(f"{written}\n")
