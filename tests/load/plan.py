"""What a run measures, how long and how often."""

from dataclasses import dataclass

KINDS = ("uniform", "hot")
TRACED_SHARE = 0.01
"""The share of requests that a process traces by itself, where nobody says otherwise."""
CELLS = {
    "committer": "the committer in process",
    "mixed": "the committer on mixed commands, with wallets never seen, opens and repeated keys among them",
    "money": "the committer on holds, payments and fees, beside plain transfers",
    "mixed-money": "the committer on everything that moves money at once, under fees and limits",
    "due": "holds that end at once, and holds among a million open ones",
    "million": "the committer on transfers between a million wallets",
    "pgbench": "pgbench writing the same rows, one transaction per transfer",
    "http": "single transfers over HTTP, one API process",
    "traced": "the same with no request traced, one in a hundred (and asked for figures), and every one",
    "gateway": "the same through the gateway, and straight to the process",
    "batches": "independent batches of transfers over HTTP",
    "one_transaction": "the same handler with one transaction per request",
    "echo": "FastAPI that only reads and writes the bodies",
    "instances": "two and four API processes on one database",
    "idle": "one connection, one request at a time",
    "profile": "µs per command in each part of the write path",
    "sizes": "the committer on journals of growing size",
    "maintenance": "what the wallet's jobs carry away, beside what is written",
    "standby": "a replayed answer and a relay, with a synchronous standby at work",
    "access": "over HTTP, transfers with the product's authority and with one that admits whoever asks, with limits "
    "and without; reads with row-level security and without",
    "history": "answers about the past on few entries and on many",
    "backlog": "relay and projection draining a backlog",
    "freezing": "from the tripping debit to the first that is refused, on the whole platform",
    "visible": "from a transfer's answer to its being read, on the whole platform under load",
}
"""Each group of cells, with a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """How long and how often each cell runs, and with which settings."""

    cells: frozenset[str]
    seconds: float
    rounds: int
    clients: tuple[int, ...]
    connections: tuple[int, ...]
    batches: tuple[int, ...]
    pools: tuple[int, ...]
    instances: tuple[int, ...]
    sizes: tuple[int, ...]
    wallets: int
    due_holds: int
    open_holds: int
    backlog_events: int
    past_events: int
    past_times: int
    old_keys: int
    replays: int
    wallets_to_freeze: int
    visible_s: float

    def has(self, *cells: str) -> bool:
        """Return whether one of *cells* is to be measured."""
        return not self.cells.isdisjoint(cells)


def smoke(cells: frozenset[str]) -> BenchPlan:
    """Return the plan that tries one setting of each cell, as short as it goes."""
    return BenchPlan(
        cells=cells,
        seconds=0.3,
        rounds=1,
        clients=(8,),
        connections=(16,),
        batches=(10,),
        pools=(4,),
        instances=(2,),
        sizes=(6_000,),
        wallets=1_000,
        due_holds=1_024 + 100,
        open_holds=2_000,
        backlog_events=2_000,
        past_events=2_000,
        past_times=2,
        old_keys=2_000,
        replays=5,
        wallets_to_freeze=2,
        visible_s=1.0,
    )
