"""What a migration may not do while the release before serves: found in its text, statement by statement. Pure.

Here is looked for what is known to read or write a whole table under a lock that others wait for, and what the release
before still reads. That a run holds no lock for long is besides tried on a server.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

_COMMENTS: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_BODIES: Final = re.compile(r"(\bas\s+)(\$[a-z_]*\$).*?\2", re.DOTALL | re.IGNORECASE)
"""Of functions: they are carried out later."""
_NAME: Final = r'(?:if\s+(?:not\s+)?exists\s+)?(?:only\s+)?(?P<table>[a-z0-9_."]+)'
_CREATED: Final = re.compile(rf"^create\s+(?:unlogged\s+)?table\s+{_NAME}", re.IGNORECASE)
_ALTER: Final = rf"^alter\s+table\s+{_NAME}"
_ADD: Final = rf"{_ALTER}.*\badd\s+column\b"
_ADD_RULE: Final = rf"{_ALTER}.*\badd\s+(?:constraint\s+\S+\s+)?"
_VOLATILE: Final = r"(?:clock_timestamp|statement_timestamp|random|uuidv7|uuidv4|gen_random_uuid|nextval)\s*\("

_RULES: Final[Sequence[tuple[re.Pattern[str], str]]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), why)
    for pattern, why in (
        (rf"^create\s+(?:unique\s+)?index\s+.*?\bon\s+{_NAME}", "an index of a table that is there keeps writers out"),
        (
            rf"{_ALTER}.*\balter\s+(?:column\s+)?\S+\s+(?:set\s+data\s+)?type\b",
            "a type rewrites the table",
        ),
        (
            rf"{_ALTER}.*\bset\s+not\s+null\b",
            "`not null` reads the table: check, validate, then set it",
        ),
        (
            rf"{_ADD}.*\bdefault\b[^,]*{_VOLATILE}",
            "such a default rewrites the table",
        ),
        (rf"{_ADD}.*\b(?:generated|serial|bigserial)\b", "it rewrites the table"),
        (
            rf"{_ADD}(?!.*\bdefault\b).*\bnot\s+null\b",
            "the release before writes rows without it: give it a default",
        ),
        (
            rf"{_ADD_RULE}(?:check|foreign\s+key)\b(?!.*\bnot\s+valid\b)",
            "a constraint reads the table: add it `not valid`, and validate it in a migration after",
        ),
        (
            rf"{_ADD_RULE}(?:unique|primary\s+key|exclude)\b(?!.*\busing\s+index\b)",
            "a key builds an index while it keeps others out",
        ),
        (
            rf"{_ALTER}.*\b(?:drop\s+column|rename)\b",
            "the release before reads it: do it in a post file",
        ),
        (
            rf"^drop\s+(?:table|view|function|type|schema|sequence)\s+{_NAME}",
            "the release before uses it: do it in a post file",
        ),
        (rf"^(?:truncate|cluster|vacuum\s+full|reindex)\s+(?:table\s+)?{_NAME}", "it keeps everybody out of the table"),
        (rf"^lock\s+(?:table\s+)?{_NAME}", "it keeps others out of the table for as long as the file takes"),
        (rf"^(?:update|delete\s+from)\s+{_NAME}", "rows of a table that is there are changed in lots, by a job"),
    )
)


def hazards(sql: str) -> list[str]:
    """Return what *sql* may not do before the release before is gone, with the table; none of tables of its own."""
    statements = list(_statements(sql))
    created = {found["table"].lower() for each in statements if (found := _CREATED.match(each))}
    return [
        f"{found['table']}: {why}"
        for each in statements
        for pattern, why in _RULES
        if (found := pattern.match(each)) and found["table"].lower() not in created
    ]


def _statements(sql: str) -> Iterator[str]:
    bare = _BODIES.sub(r"\1''", _COMMENTS.sub("", sql))
    return (each.strip() for each in bare.split(";") if each.strip())
