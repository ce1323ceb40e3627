"""Writes `docs/errors.md` from the registry of problem codes: `python -m servicekit.errors_page > docs/errors.md`."""

import sys

from contracts.field_codes import FIELD_CODES
from contracts.problems import PROBLEM_CODES

_HEAD = """\
# Errors

Every error of every API is a problem document (RFC 9457, `application/problem+json`). Branch on `code`, which never
changes its meaning; `title` and `detail` are for people. `type` is the address of a page like this one. Made from the
registry in `libs/contracts` by `make docs`.

| code | status | what happened | what to do |
|---|---|---|---|
"""
_FIELDS = """
## Field errors

`invalid_request` and `invalid_query` list what is wrong in `errors: [{pointer, code, detail}]`. `pointer` is a JSON
pointer (RFC 6901) into the body, or `/<name>` of a query parameter; `""` is the whole body.

| code | meaning |
|---|---|
"""


def errors_page() -> str:
    """Return the page as Markdown."""
    rows = [f"| `{p.code}` | {p.status} | {p.title} | {p.advice} |" for p in PROBLEM_CODES.values()]
    fields = [f"| `{f.code}` | {f.meaning} |" for f in FIELD_CODES.values()]
    return _HEAD + "\n".join(rows) + "\n" + _FIELDS + "\n".join(fields) + "\n"


if __name__ == "__main__":
    sys.stdout.write(errors_page())
