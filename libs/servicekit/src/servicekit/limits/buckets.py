"""All buckets of one instance: found without a wait, settled between requests.

The rule between instances is reservation. What an instance may spend is taken from the bucket's row beforehand, at the
last settlement, and at most its part of what was left then. So the sum of what settled instances spend never exceeds
burst and rate, however they are loaded. Beyond that only these go:

- an instance that has not yet settled a bucket spends its share of it, `burst ÷ N`, until the next settlement; what it
  spent beyond what was left is a debt that the row's rate pays before anybody is granted more;
- what `Bucket.is_light` leaves out;
- a bucket that is evicted forgets that it was not whole: the instance may spend its share again, once for every
  BUCKETS_MAX keys of the same limit that came after it. A bucket with something to settle is never evicted.

Where the database is away, each instance goes on with its share, `rate ÷ N` and `burst ÷ N`, by its own clock.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from servicekit.limits.bucket import Bucket, Share
from servicekit.limits.gcra import Rate
from servicekit.limits.rates import DEFAULT_POLICY, Limit, RatePolicy

BUCKETS_MAX: Final = 16_384
"""Per limit, so that addresses push out no tenant; some 10 MB each. As many as there are cached credentials."""
PASSED_OVER_MAX: Final = 16
"""How many that cannot be evicted a newcomer passes over before it is given the shared one."""
SETTLED_MAX: Final = 4_096
"""Buckets in one settlement, some tens of milliseconds' worth; the others keep what they hold until the next."""
AWAY_US: Final = 300_000
"""Three settlements missed: the database is away."""
LIGHT_EVERY: Final = 5
"""Settlements between two looks at the buckets that were light: there are many, and most stay so. One of which more is
taken by then goes on with its share of the burst, which is its to spend."""
QUIET_MAX: Final = 30
"""Settlements without a request after which an instance gives back what it reserved: three seconds, so that what a
refused request lacked is still there when it comes again after its Retry-After."""
INSTANCES_UNKNOWN: Final = 4
"""How many instances there are taken to be until the database has told."""
ID_BYTES_MAX: Final = 32
"""As the table has it."""
SHARED_ID: Final = b""
"""The id of the bucket that newcomers share where no room can be made for their own."""


class Report(NamedTuple):
    """What the database is told of a bucket, and asked for. Units.

    *unreported* is spent and not reserved; *debit* is that less what is given back, *room* the most to be granted, and
    *short* what a refused request lacks.
    """

    bucket: Bucket
    unreported: int
    debit: int
    room: int
    short: int
    is_leaving: bool


class Answer(NamedTuple):
    """What the database granted for a report, and what is left then, below 0 for a debt. Units."""

    granted: int
    left: int


class Buckets:
    """The buckets of one instance. Nothing here waits; *now_us* is always the process's monotonic clock."""

    def __init__(self, policy: RatePolicy = DEFAULT_POLICY, *, buckets_max: int = BUCKETS_MAX) -> None:
        self._policy = policy
        self._overrides: Mapping[bytes, RatePolicy] = {}
        self._buckets_max = buckets_max
        self._awake: list[Bucket] = []
        self._light: list[Bucket] = []
        """Awake, and light when they were last looked at."""
        self._until_light = LIGHT_EVERY
        self._generation = 0
        self._shares: dict[Rate, Share] = {}
        """Of this generation's rates."""
        self._settled_us: int | None = None
        self.instances = INSTANCES_UNKNOWN
        self.by_limit: tuple[dict[bytes, Bucket], ...] = tuple({} for _ in Limit)

    def override(self, policies: Mapping[bytes, RatePolicy]) -> None:
        """Let *policies*, by tenant id, apply from the next settlement on, in place of all those before."""
        self._overrides = dict(policies)
        self._rates_changed()

    def rate(self, limit: Limit, tenant: bytes | None) -> Rate:
        """Return the rate of *limit* for *tenant*, None for what is no tenant's."""
        policy = self._policy if tenant is None else self._overrides.get(tenant, self._policy)
        return policy.of(limit)

    def awake(self, limit: Limit, id_: bytes, tenant: bytes | None, now_us: int) -> Bucket:
        """Return the bucket of *id_*, awake; it is made where there is none. *tenant* is whose policy applies."""
        assert len(id_) <= ID_BYTES_MAX, "a longer id would fail every settlement"
        buckets = self.by_limit[limit]
        bucket = buckets.pop(id_, None)
        if bucket is None:
            bucket = self._made(buckets, limit, id_, tenant)
        buckets[bucket.id] = bucket  # as the latest to be evicted
        if not bucket.is_awake:
            self._keep_rate(bucket)
            bucket.wake(now_us)
            self._awake.append(bucket)
        return bucket

    def reports(self, now_us: int) -> list[Report]:
        """Return what is to be settled. Each settlement ends with `settled` or `lost` before the next begins."""
        self._look_at_light(now_us)
        reports: list[Report] = []
        awake: list[Bucket] = []
        for bucket in self._awake:
            if not bucket.is_awake:
                continue
            self._keep_rate(bucket)
            if bucket.is_light:
                self._light.append(bucket)
                continue
            if len(reports) < SETTLED_MAX:
                report = _report(bucket)
                if report is not None:
                    reports.append(report)
            awake.append(bucket)
        if len(reports) == SETTLED_MAX:
            # Who was left out comes first the next time.
            settled = {id(report.bucket) for report in reports}
            awake.sort(key=lambda bucket: id(bucket) in settled)
        self._awake = awake
        return reports

    def last_reports(self) -> list[Report]:
        """Return what is told at the process's end: everything that was reserved is given back, SETTLED_MAX at most."""
        every = self._awake + self._light
        leaving = [bucket for bucket in every if bucket.is_awake and not bucket.is_light]
        self._awake, self._light = [], []
        for bucket in leaving:
            self._keep_rate(bucket)
        return [_leaving(bucket) for bucket in leaving[:SETTLED_MAX]]

    def settled(self, reports: Sequence[Report], answers: Sequence[Answer | None], instances: int, now_us: int) -> None:
        """Take what was granted for *reports*, in their order; None for a row that was gone, as where it is `lost`."""
        for report, answer in zip(reports, answers, strict=True):
            if answer is None:
                self._take_back(report, now_us)
            else:
                _take_granted(report, answer, self.instances, now_us)
        self._settled_us = now_us
        if instances != self.instances:
            self.instances = instances
            self._rates_changed()

    def lost(self, reports: Sequence[Report], now_us: int) -> None:
        """Take *reports* back: whether they were settled is not known, so they are told again, and nothing granted."""
        for report in reports:
            self._take_back(report, now_us)

    def refill(self, now_us: int) -> None:
        """Refill by the instance's own share where the database is away; do nothing while it settles."""
        if self._settled_us is None:
            self._settled_us = now_us
        away_since_us = self._settled_us + AWAY_US
        if now_us <= away_since_us:
            return
        for bucket in self._awake + self._light:
            if bucket.is_awake:
                bucket.refill(away_since_us, now_us)

    def _look_at_light(self, now_us: int) -> None:
        """Every so often, forget the light buckets that are whole again, and settle those that are light no more."""
        self._until_light -= 1
        if self._until_light > 0:
            return
        self._until_light = LIGHT_EVERY
        light: list[Bucket] = []
        for bucket in self._light:
            if not bucket.is_awake:
                continue
            self._keep_rate(bucket)
            if not bucket.is_light:
                self._awake.append(bucket)
            elif now_us - bucket.woken_us >= bucket.share.rate.whole_again_us:
                self._forget(bucket)
            else:
                light.append(bucket)
        self._light = light

    def _rates_changed(self) -> None:
        self._generation += 1
        self._shares = {}

    def _keep_rate(self, bucket: Bucket) -> None:
        if bucket.generation == self._generation:
            return
        rate = self.rate(bucket.limit, bucket.tenant)
        share = self._shares.get(rate)
        if share is None:
            share = self._shares[rate] = Share.of(rate, self.instances)
        bucket.take_share(share, self._generation)

    def _made(self, buckets: dict[bytes, Bucket], limit: Limit, id_: bytes, tenant: bytes | None) -> Bucket:
        if len(buckets) < self._buckets_max or _evicted(buckets):
            return Bucket(limit, id_, tenant)
        return buckets.pop(SHARED_ID, None) or Bucket(limit, SHARED_ID, None)

    def _forget(self, bucket: Bucket) -> None:
        bucket.is_awake = False
        buckets = self.by_limit[bucket.limit]
        if buckets.get(bucket.id) is bucket:
            del buckets[bucket.id]

    @staticmethod
    def _take_back(report: Report, now_us: int) -> None:
        bucket = report.bucket
        if report.is_leaving and not bucket.spent and not bucket.is_refused:
            # What it is worth is known here; the others do not hear of what it spent three seconds ago, or longer.
            bucket.sleep(bucket.held, now_us)
            return
        bucket.spent += report.unreported
        bucket.seen += report.unreported


def _report(bucket: Bucket) -> Report | None:
    """Return what is to be told of *bucket*, None where nothing is: what was spent was reserved, and enough still is.

    A bucket that nobody asked for in QUIET_MAX settlements leaves: what it reserved is given back.
    """
    if bucket.spent != bucket.seen or bucket.is_refused:
        bucket.seen = bucket.spent
        bucket.quiet = 0
    else:
        bucket.quiet += 1
        if bucket.quiet >= QUIET_MAX:
            return _leaving(bucket)
        if bucket.wanted <= bucket.reserved and bucket.spent <= bucket.reserved:
            return None
    if bucket.wanted <= bucket.reserved and bucket.reserved - bucket.spent >= bucket.share.half:
        return None
    unreported = _told(bucket)
    # The first time the others may have spent their shares unseen: no more than the rest of one's own is asked for.
    most = bucket.share.part.burst - unreported if bucket.is_first else bucket.share.part.burst
    return Report(
        bucket,
        unreported,
        debit=unreported,
        room=max(0, max(most, bucket.wanted) - bucket.reserved),
        short=max(0, bucket.wanted - bucket.reserved),
        is_leaving=False,
    )


def _leaving(bucket: Bucket) -> Report:
    unreported = _told(bucket)
    given_back, bucket.reserved = bucket.reserved, 0
    return Report(bucket, unreported, debit=unreported - given_back, room=0, short=0, is_leaving=True)


def _told(bucket: Bucket) -> int:
    """Return what *bucket* spent and had not reserved; from now on it has spent nothing."""
    covered = min(bucket.spent, bucket.reserved)
    unreported = bucket.spent - covered
    bucket.reserved -= covered
    bucket.spent = bucket.seen = 0
    bucket.is_refused = False
    return unreported


def _take_granted(report: Report, answer: Answer, instances: int, now_us: int) -> None:
    bucket = report.bucket
    if not bucket.is_awake:
        return
    if report.is_leaving and not bucket.spent and not bucket.is_refused:
        bucket.sleep(-(-answer.left // instances), now_us)
        return
    bucket.is_first = False
    bucket.reserved += answer.granted
    bucket.held = bucket.reserved - bucket.spent
    bucket.left = answer.left + bucket.held
    bucket.refilled_us = now_us
    if bucket.reserved >= bucket.wanted:
        bucket.wanted = 0


def _evicted(buckets: dict[bytes, Bucket]) -> bool:
    """Make room for one more: evict the bucket that woke up longest ago of those with nothing to settle."""
    for id_ in list(_first(buckets)):
        bucket = buckets.pop(id_)
        if not bucket.is_awake or bucket.is_light:
            bucket.is_awake = False
            return True
        buckets[id_] = bucket
    return False


def _first(buckets: dict[bytes, Bucket]) -> Sequence[bytes]:
    ids = iter(buckets)
    return [id_ for id_, _ in zip(ids, range(PASSED_OVER_MAX), strict=False)]
