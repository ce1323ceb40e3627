"""What the committer remembers of the rows it has itself decided, so that it can decide ahead of the database.

The memory is a guess that the database checks: a batch decided on it is fenced by the content of every wallet that it
names and by its keys being free. Where the guess is wrong nothing is written, and the memory rests for some
batches: with other writers on the same wallets it would be wrong again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from wallet.application.plan import BatchPlan
from wallet.application.rows import Locked
from wallet.application.units import Unit, UnitKey
from wallet.domain.commands import wallets_named
from wallet.domain.wallets import Wallet

WALLETS_MAX: Final = 100_000
CLAIMS_MAX: Final = 10_000
CLOCK_AGE_MAX_S: Final = 1.0
"""Beyond this the database's clock is read anew rather than reckoned on from its last reading."""
RECKONING_ERROR_MAX: Final = timedelta(seconds=1)
"""A reading takes its time to arrive, and two clocks drift apart."""
REST_BATCHES_MAX: Final = 256


class Memory:
    """Wallets as they will be once the batch in flight is committed, and the database's clock."""

    def __init__(self) -> None:
        self._wallets: dict[UUID, Wallet] = {}
        self._claimed: set[UnitKey] = set()
        self._now: datetime | None = None
        self._read_at_s = 0.0
        self._rest_batches = 0
        self._rests = 0

    def recall(self, units: Sequence[Unit], at_s: float) -> Locked | None:
        """Return what *units* name as it is remembered, at the time *at_s* (monotonic); None where that is unsafe."""
        if self._rest_batches > 0:
            self._rest_batches -= 1
            return None
        if self._now is None or at_s - self._read_at_s > CLOCK_AGE_MAX_S:
            return None
        known = self._wallets
        recalled: dict[UUID, Wallet] = {}
        for unit in units:
            if unit.claim is not None and unit.claim.key in self._claimed:
                return None  # its first commands were in a batch before this one: their claim is to be found, not free
            for command in unit.commands:
                for wallet_id in wallets_named(command):
                    wallet = known.get(wallet_id)
                    if wallet is None:
                        return None
                    recalled[wallet_id] = wallet
        return Locked(recalled, {}, self._now + timedelta(seconds=at_s - self._read_at_s))

    def remember(self, plan: BatchPlan) -> None:
        """Take over the wallets as *plan* leaves them."""
        if len(self._wallets) > WALLETS_MAX:
            self._wallets.clear()
        self._wallets.update(plan.wallets)
        if len(self._claimed) > CLAIMS_MAX:
            self._claimed.clear()
        self._claimed |= plan.claimed

    def read_clock(self, now: datetime, at_s: float) -> None:
        """Take the database's time *now*, read at *at_s* (monotonic).

        Time does not go back for what is only an error of the reckoning; a clock that was set back is followed.
        """
        if self._now is not None:
            reckoned = self._now + timedelta(seconds=at_s - self._read_at_s)
            if now < reckoned <= now + RECKONING_ERROR_MAX:
                now = reckoned
        self._now, self._read_at_s = now, at_s

    def confirm(self) -> None:
        """Note that the database found everything as it was remembered."""
        self._rests = 0

    def forget(self) -> None:
        """Drop everything, and rest: longer each time, until a batch is confirmed."""
        self._wallets.clear()
        self._now = None
        self._rests = min(self._rests + 1, REST_BATCHES_MAX.bit_length() - 1)
        self._rest_batches = 2**self._rests
