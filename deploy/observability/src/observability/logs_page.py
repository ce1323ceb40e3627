"""Writes `docs/logs.md` from the sources and from what their lines mean."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from engines.checkout import ROOT
from observability.log_lines import Level, Line, log_lines
from observability.log_meanings import MEANINGS

FOLDERS: Final = (
    ROOT / "libs" / "servicekit" / "src",
    *sorted((ROOT / "services").glob("*/src")),
    ROOT / "deploy" / "observability" / "src",
)
_KIT: Final = "servicekit"
_HEAD: Final = """\
# Logs

Every line that a process may write, made by `make docs` from the sources; a test fails on a line that is not here. A
line is a JSON object on stdout. Beside the fields below each has `action` (constant: what to search for), `level`,
`timestamp`, `service`, `process` and, while something is traced, `trace_id` and `span_id`; `exception` is a traceback
without local variables, and without the rows that the database quotes.

`error`: somebody has to look. `warning`: something is degraded, and mends itself. `info`: what happens in a process's
life. `LOG_LEVEL` bounds what is written. An action has one level, but for `http.request` and `library.message`.

No line tells an owner, an amount, a credential, or where a webhook goes. A request's `path` is told by its route: ids
of the platform's making are filled in, anything else stands as `{owner_id}` or `{token}`, and where no route took it,
it is `null`.
"""
_TABLE: Final = "| action | level | fields | written by | what it means | what to do |\n|---|---|---|---|---|---|\n"


def logs_page() -> str:
    """Return the page as Markdown; raises UnreadableLine."""
    return _HEAD + "\n" + _TABLE + "\n".join(_rows(log_lines(FOLDERS))) + "\n"


def by_action(lines: Iterable[Line]) -> Mapping[str, Sequence[Line]]:
    """Return *lines* by their action, in its order."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.action, []).append(line)
    return dict(sorted(found.items()))


def levels_of(lines: Iterable[Line]) -> Sequence[Level]:
    """Return the levels that *lines* have, the least severe first."""
    return sorted({level for line in lines for level in line.levels})


def _rows(lines: Iterable[Line]) -> Iterator[str]:
    for action, calls in by_action(lines).items():
        meaning = MEANINGS[action]
        fields = dict.fromkeys(field for line in calls for field in line.fields)
        cells = (
            f"`{action}`",
            ", ".join(level.name.lower() for level in levels_of(calls)),
            ", ".join(f"`{field}`" for field in fields),
            ", ".join(sorted({_writer(line) for line in calls})),
            meaning.means,
            meaning.then,
        )
        yield "| " + " | ".join(cells) + " |"


def _writer(line: Line) -> str:
    package = line.source.relative_to(ROOT).parts[1]
    return "any" if package == _KIT else package
