"""Writes `docs/scopes.md` from the registry of scopes: `python -m servicekit.scopes_page > docs/scopes.md`."""

import sys

from contracts.scopes import SCOPES, Kind

_HEAD = """\
# Scopes

What a credential may ask for. A user is a customer of the tenant, a service one of its backends, an operator its
staff. A key can only be given scopes that its kind may hold and that its maker holds itself; of a token's scopes
those that its kind may not hold are dropped. Each route names its scope as `x-access` in its OpenAPI document. Made
from the registry in `libs/contracts` by `make docs`.

| scope | user | service | operator | what it allows |
|---|---|---|---|---|
"""


def scopes_page() -> str:
    """Return the page as Markdown."""
    rows = [
        f"| `{scope.name}` | {' | '.join('yes' if kind in scope.kinds else '' for kind in Kind)} | {scope.meaning} |"
        for scope in SCOPES
    ]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(scopes_page())
