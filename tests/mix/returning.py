"""What goes back of a transaction of one currency: kept as the list of its entries and of what went back of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Entry = tuple[str, int]


@dataclass
class Posted:
    """A transaction that may be taken back: its *entries*, of which those at *fees* are for fees."""

    entries: Sequence[Entry]
    fees: frozenset[int]
    back: list[int] = field(default_factory=list)
    """What went back of each entry so far, signed as it was posted."""
    is_reversed: bool = False

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.back = self.back or [0] * len(self.entries)

    @property
    def payees(self) -> list[int]:
        """Where somebody was paid: a wallet, or somebody outside."""
        return [
            place
            for place, (account, amount) in enumerate(self.entries)
            if amount > 0 and place not in self.fees and not account.startswith("fees:")
        ]

    def rest(self, place: int) -> int:
        """Return what is left of an entry."""
        return self.entries[place][1] + self.back[place]

    @property
    def left(self) -> int:
        """How much can go back."""
        return sum(self.rest(place) for place in self.payees)

    def parts(self, amount: int, *, everything: bool) -> list[int]:
        """Return what is posted of each entry when *amount* goes back; *everything*: of fees, too."""
        if everything:
            return [-self.rest(place) for place in range(len(self.entries))]
        found = [0] * len(self.entries)
        all_rests, payees = self.left, self.payees
        for place in payees:
            found[place] = -(self.rest(place) * amount // all_rests)
        over = amount + sum(found)
        for place in payees:
            if over and -found[place] < self.rest(place):
                found[place], over = found[place] - 1, over - 1
        payer = next(place for place in range(len(found)) if place not in payees and place not in self.fees)
        found[payer] = amount
        return found

    def answered(self, parts: Sequence[int], wallets: Sequence[str]) -> list[Entry]:
        """Return the entries as they are told: fees of wallets, other wallets, system accounts."""
        moved = [(place, self.entries[place][0], part) for place, part in enumerate(parts) if part]
        of_fees = [(account, part) for place, account, part in moved if account in wallets and place in self.fees]
        of_wallets = [
            (account, part) for place, account, part in moved if account in wallets and place not in self.fees
        ]
        return [*of_fees, *of_wallets, *((account, part) for _, account, part in moved if account not in wallets)]
