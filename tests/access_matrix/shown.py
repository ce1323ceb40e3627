"""What an answer may show of the wallets that it names: of another's, the id and the amount. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.access_matrix.callers import Caller

from contracts.scopes import Kind

OF_OTHERS: Final = frozenset({"wallet_id", "amount", "entry_index"})
"""An entry's place in its transaction says nothing of the wallet."""
OF_RESTRICTIONS: Final = frozenset({"scope"})
"""What whoever is not of the staff is told of a restriction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A wallet that an answer is about. *marks* are texts that give it away: its owner, its label, its balance."""

    wallet_id: str
    owner: str
    marks: tuple[str, ...]


def of_others(body: Any, sides: Sequence[Side], caller: Caller) -> list[str]:
    """Return what *body* shows *caller* too much of others' wallets, or too little of its own."""
    text, found = json.dumps(body), []
    for side in sides:
        told = [each for each in _objects(body) if each.get("wallet_id") == side.wallet_id]
        if not told:
            found.append("does not name a wallet of the transaction")
        elif caller.covers(side.owner):
            if not all(each.get("version") is not None or each.get("owner_id") is not None for each in told):
                found.append("does not show what is its own")
        else:
            more = {name for each in told for name, value in each.items() if value is not None} - OF_OTHERS
            found += [f"shows {name} of another's wallet" for name in sorted(more)]
            found += [f"shows {mark} of another's wallet" for mark in side.marks if mark in text]
    return found


def of_restrictions(body: Any, caller: Caller) -> list[str]:
    """Return what *body*, about a restricted wallet, shows *caller* too much or too little of who restricted it."""
    lists = [each["restrictions"] for each in _objects(body) if each.get("restrictions")]
    told = {name for restrictions in lists for each in restrictions for name in each}
    if caller.kind is Kind.OPERATOR:
        return [] if "source" in told else ["does not tell staff who restricted the wallet"]
    return [f"tells the {name} of a restriction" for name in sorted(told - OF_RESTRICTIONS)]


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Return every object of a JSON document, however deep."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _objects(each)
