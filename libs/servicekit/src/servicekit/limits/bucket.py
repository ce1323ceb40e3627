"""One bucket as one instance holds it in memory."""

from typing import Final, Self

import msgspec

from servicekit.limits.gcra import WHOLE, Rate, left, state_with
from servicekit.limits.rates import Limit

LIGHT_PART: Final = 20
LIGHT_SHARE_MIN: Final = 10
"""Of a share of at least ten units a twentieth, or one unit, may go unsettled: see `Bucket.is_light`."""


class Share(msgspec.Struct, frozen=True, gc=False):
    """A limit's *rate*, and what of it one of several instances may spend by itself: the same for all its buckets.

    *part* is the emission interval times, and the burst divided by, the live instances: at least one unit. Who has
    reserved more than *half* of that asks for no more; of *light_max* see `Bucket.is_light`.
    """

    rate: Rate
    part: Rate
    half: int
    light_max: int

    @classmethod
    def of(cls, rate: Rate, instances: int) -> Self:
        """Return what one of *instances* has of *rate*."""
        part = Rate(rate.emission_us * instances, max(1, rate.burst // instances))
        light_max = max(1, part.burst // LIGHT_PART) if part.burst >= LIGHT_SHARE_MIN else 0
        return cls(rate, part, (part.burst + 1) // 2, light_max)


NO_SHARE: Final = Share.of(Rate(1, 1), 1)
"""Of a bucket that was never asked for."""


class Bucket(msgspec.Struct, eq=False, gc=False):
    """What is left of one limit for one subject, and what the other instances do not know yet. Units throughout.

    Awake, it is worth `held`, which only settlements raise; `reserved` of that is taken from the row already, the rest
    is what every instance may spend of its own share before it has asked. Asleep, nothing is reserved, and it is a GCRA
    of the instance's share (rate ÷ N, burst ÷ N) by the instance's monotonic clock.
    """

    limit: Limit
    id: bytes
    tenant: bytes | None
    share: Share = NO_SHARE
    generation: int = -1
    """Of the rates that *share* is from."""
    state: int = WHOLE
    """Asleep: the GCRA's of the share."""
    is_awake: bool = False
    is_first: bool = False
    """Whether it is awake with its whole share, and nothing of it was settled yet."""
    held: int = 0
    reserved: int = 0
    spent: int = 0
    """Taken since the last report."""
    seen: int = 0
    """What was spent when it was last looked at."""
    left: int = 0
    """Told to clients: what is left for all instances, as far as this one knows."""
    wanted: int = 0
    """The largest cost that was refused, until as much is reserved."""
    is_refused: bool = False
    quiet: int = 0
    """For how many settlements nobody has asked for it."""
    woken_us: int = 0
    refilled_us: int = 0

    def take_share(self, share: Share, generation: int) -> None:
        """Have *share* from now on, and hold no more than its rate's burst."""
        self.share = share
        self.held = min(self.held, share.rate.burst)
        self.generation = generation

    def wake(self, now_us: int) -> None:
        """Be worth what the share is worth now."""
        part = self.share.part
        self.held = part.burst if self.state == WHOLE else left(self.state, part, now_us)
        self.is_first = self.held >= part.burst
        self.left = self.share.rate.burst if self.is_first else self.held
        self.reserved = self.spent = self.seen = self.wanted = self.quiet = 0
        self.is_refused = False
        self.woken_us = self.refilled_us = now_us
        self.is_awake = True

    def sleep(self, units: int, now_us: int) -> None:
        """Be a GCRA of the share, worth *units* now."""
        self.state = state_with(max(0, min(units, self.share.part.burst)), self.share.part, now_us)
        self.is_awake = False
        self.held = self.reserved = self.spent = self.seen = self.wanted = 0

    def refill(self, since_us: int, now_us: int) -> None:
        """Hold more, by the share's rate since *since_us* at the earliest, because no settlement has come.

        What was spent and is refilled by the share's rate need not be reported: the row's rate has made good for it.
        """
        units = (now_us - max(self.refilled_us, since_us)) // self.share.part.emission_us
        if units <= 0:
            return
        self.refilled_us = max(self.refilled_us, since_us) + units * self.share.part.emission_us
        self.held = max(self.held, min(self.share.part.burst, self.held + units))
        self.spent = max(0, self.spent - units)
        self.seen = max(0, self.seen - units)

    @property
    def is_light(self) -> bool:
        """Whether so little was taken that nobody needs to hear of it: a twentieth of the share, or one unit of ten.

        It costs no row. It is taken again at most once in the time that the burst takes to come back, after which the
        bucket is forgotten. So an instance leaves out a tenth of its own share at most, and only of a bucket that it
        hardly uses; where all of them do, the limit is far away.
        """
        return self.is_first and self.spent <= self.share.light_max and not self.wanted
