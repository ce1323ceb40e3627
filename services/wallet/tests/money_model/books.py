"""The books of the model: what there is, and what is posted. Every value in them is replaced, and never changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Final

from services.wallet.tests.money_model.things import Counted, Entry, Hold, Made, Policy, Promise, Wallet

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Books:
    """All that there is, by name; *totals* is what system accounts have come to, *counted* what limits counted."""

    wallets: dict[str, Wallet] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    quotes: dict[str, Promise] = field(default_factory=dict)
    tier_of: dict[str, str] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    counted: dict[tuple[str, str, str], tuple[Counted, ...]] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    now: datetime = EPOCH

    def copied(self) -> dict[str, Any]:
        """Return what `put_back` takes."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, dict) else value for name, value in found.items()}

    def put_back(self, copied: dict[str, Any]) -> None:
        """Make everything what it was."""
        for name, value in copied.items():
            setattr(self, name, value)

    def held(self, wallet: str) -> int:
        """Return what open holds hold of the wallet."""
        return sum(hold.held for hold in self.holds.values() if hold.wallet == wallet and hold.status == "open")

    def available(self, wallet: str) -> int:
        """Return what of the wallet's money is not held."""
        return self.wallets[wallet].posted - self.held(wallet)

    def change(self, wallet: str, **changes: Any) -> None:
        """Change the wallet."""
        self.wallets[wallet] = replace(self.wallets[wallet], **changes)

    def settle_floor(self, wallet: str, *, forced: bool = False) -> None:
        """Keep the wallet's floor waived only while it is forced below it."""
        known = self.wallets[wallet]
        if forced or known.waived:
            self.change(wallet, waived=self.available(wallet) < -known.line)

    def post(self, name: str, kind: str, entries: Sequence[Entry]) -> None:
        """Make the transaction *name*: its entries, and nothing yet that rounds each currency which was exchanged."""
        for entry in entries:
            if entry.account is None:
                self.change(entry.wallet, posted=self.wallets[entry.wallet].posted + entry.amount)
            else:
                self.totals[entry.account] = self.totals.get(entry.account, 0) + entry.amount
        for entry in entries:
            if entry.account is None:
                self.settle_floor(entry.wallet, forced=entry.forced)
        rounded = {entry.account for entry in entries}
        closing = [
            Entry(entry.wallet, f"rounding:{entry.currency}", entry.currency, 0)
            for entry in entries
            if entry.account == f"fx:{entry.currency}" and f"rounding:{entry.currency}" not in rounded
        ]
        self.made[name] = Made(kind, (*entries, *closing))
