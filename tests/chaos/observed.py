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
    highest: dict[int, int] = field(default_factory=dict)

    def total(self, wallets_minor: int, system_minor: int) -> None:
        """Take the sum of all wallets and of all system entries as one snapshot shows them."""
        self.totals += 1
        if wallets_minor + system_minor != 0:
            self.unequal_totals.append(f"wallets hold {wallets_minor}, system accounts {system_minor}")

    def checkpoint(self, shard: int, last_seq: int) -> None:
        """Take a checkpoint as it is now."""
        if last_seq < self.highest.get(shard, 0):
            self.moved_back.append(f"shard {shard}: {self.highest[shard]} then {last_seq}")
        self.highest[shard] = max(last_seq, self.highest.get(shard, 0))


@dataclass(kw_only=True, slots=True)
class Observed:
    """Everything the checker judges besides the history. *keys* is (key, part) to the resource stored under it."""

    wallets: dict[str, Wallet]
    journal: list[Row]
    keys: dict[tuple[str, int], str | None]
    records: list[Record]
    read_wallets: dict[str, Wallet]
    read_rows: list[Projected]
    samples: Samples = field(default_factory=Samples)
    seconds_to_drain: float | None = None
