"""What is there after a run: the ledger, the topic and the read model, as plain rows."""

from dataclasses import dataclass, field

SHARDS = 64
PARTITIONS = 16


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet's row; of the read model too, where *floor_minor* is 0."""

    posted_minor: int
    version: int
    floor_minor: int = 0
    held_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A journal row. *system_account* and *version* exclude each other; a state change has no transaction."""

    shard: int
    seq: int
    event_id: str
    wallet_id: str
    system_account: str | None
    version: int | None
    transaction_id: str | None
    currency: str
    posted_delta: int
    posted_after: int | None
    payload: bytes
    held_delta: int = 0
    held_after: int | None = None

    @property
    def is_of_wallet(self) -> bool:
        """Whether it is of a wallet, or of a system account beside one: a policy has a stream of its own."""
        return self.posted_after is not None or self.system_account is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A Kafka record, in the order of its partition."""

    partition: int
    offset: int
    shard: int
    seq: int
    event_id: str
    wallet_id: str
    version: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Projected:
    """A row of the read model that one event made; *amount_minor* is None for a state change."""

    seq: int
    event_id: str
    amount_minor: int | None


@dataclass(slots=True)
class Samples:
    """What was seen while the run went on: money totals in one snapshot each, and checkpoints in order."""

    totals: int = 0
    unequal_totals: list[str] = field(default_factory=list)
    moved_back: list[str] = field(default_factory=list)
    highest: dict[tuple[str, int], int] = field(default_factory=dict)

    def total(self, wallets_minor: int, system_minor: int) -> None:
        """Take the sum of all wallets and of all system entries as one snapshot shows them."""
        self.totals += 1
        if wallets_minor + system_minor != 0:
            self.unequal_totals.append(f"wallets hold {wallets_minor}, system accounts {system_minor}")

    def checkpoint(self, group: str, shard: int, last_seq: int) -> None:
        """Take a checkpoint of a projection as it is now."""
        highest = self.highest.get((group, shard), 0)
        if last_seq < highest:
            self.moved_back.append(f"{group}, shard {shard}: {highest} then {last_seq}")
        self.highest[group, shard] = max(last_seq, highest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A webhook endpoint: it is owed what came behind *since*, by shard, of *wallets*, or of all where there are none.

    An endpoint that is *gone* was disabled on the way: it is owed nothing more.
    """

    id: str
    since: dict[int, int]
    wallets: frozenset[str] = frozenset()
    is_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery's row; *attempts* are those begun."""

    endpoint_id: str
    message_id: str
    status: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A webhook that came. *event_id* is what its body tells, *is_signed* what the verification made of it."""

    endpoint_id: str
    webhook_id: str
    event_id: str
    is_signed: bool
    is_accepted: bool


@dataclass(kw_only=True, slots=True)
class Webhooks:
    """Who is owed webhooks, what is recorded, and what came. *are_sent*: workers ran."""

    endpoints: list[Endpoint]
    deliveries: list[Delivery]
    posts: list[Post]
    are_sent: bool

    @property
    def repeats(self) -> int:
        """How many posts were repeats of one that came before."""
        return len(self.posts) - len({(post.endpoint_id, post.webhook_id) for post in self.posts})


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision's row."""

    id: str
    outcome: str
    mode: str


@dataclass(kw_only=True, slots=True)
class Decisions:
    """What fraud knows and decided, and what the ledger made of it.

    *profiles* are versions by wallet; *outbox* and *records* are the decisions to be published and those published, by
    shard and sequence; *settled* are pairs of decision and disposition; *caused* the causes that journal rows name.
    """

    profiles: dict[str, int]
    made: list[Decision]
    outbox: dict[tuple[int, int], str]
    records: list[Record]
    settled: list[tuple[str, str]]
    caused: list[str]


@dataclass(kw_only=True, slots=True)
class Observed:
    """Everything the checker judges besides the history. *keys* is (key, part) to the resource stored under it.

    *open_holds* is what the open holds of each wallet come to.

    *refusals* counts by name what constraints of the ledger's tables have refused. *repeats_nothing*: nothing happened
    that would have the relay publish a record again.
    """

    wallets: dict[str, Wallet]
    journal: list[Row]
    keys: dict[tuple[str, int], str | None]
    records: list[Record]
    read_wallets: dict[str, Wallet]
    read_rows: list[Projected]
    samples: Samples = field(default_factory=Samples)
    seconds_to_drain: float | None = None
    webhooks: Webhooks | None = None
    decisions: Decisions | None = None
    open_holds: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    repeats_nothing: bool = False
