"""The judge: pure functions from a history and what is there to the breaches of each invariant.

It shares no code with what it judges.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tests.chaos.judge import checker_services as services
from tests.chaos.judge.observed import PARTITIONS, Observed, Record, Row
from tests.chaos.load.history import Entry, History, minor_of

SHARD_MASK = 63
FORCED = b'"forced":true'
KEY_TAKEN = "idempotency_pkey"
"""The constraint that may refuse: two instances were given one key at once, and the second looks again."""


def check(history: History, observed: Observed) -> dict[str, list[str]]:
    """Return the breaches by invariant; an invariant without one has an empty list."""
    return {
        "I1": [*zero_sums(observed), *observed.samples.unequal_totals],
        "I2": list(folds(observed)),
        "I3": list(floors(observed)),
        "I4": list(dense(observed)),
        "I5": [*exactly_once(history, observed), *conserved(history, observed)],
        "I6": [*topic_is_journal(observed), *read_model_is_journal(observed), *services.profiled(observed)],
        "I7": list(ascending(observed.records)),
        "I9": observed.samples.moved_back,
        "I10": history.unlike,
        "I11": [*held(observed), *taken_back(history)],
        "I13": [*services.owed(observed), *services.one_id(observed)],
        "I14": [*drained(observed), *services.arrived(observed)],
        "decisions": list(services.decided_once(observed)),
        "settled": [f"{key} was never settled" for key in history.undecided],
        "constraints": list(refused(observed)),
        "once": list(published_once(observed)),
    }


def zero_sums(observed: Observed) -> Iterator[str]:
    """Find transactions whose entries do not sum to zero per currency."""
    sums: Counter[tuple[str, str]] = Counter()
    entries: Counter[str] = Counter()
    for row in observed.journal:
        if row.transaction_id is not None:
            sums[row.transaction_id, row.currency] += row.posted_delta
            entries[row.transaction_id] += 1
        elif row.posted_delta:
            yield f"{row.event_id} moves money outside a transaction"
    yield from (f"{transaction} sums to {total} {currency}" for (transaction, currency), total in sums.items() if total)
    yield from (f"{transaction} has {count} entry" for transaction, count in entries.items() if count < 2)


def _by_wallet(journal: Iterable[Row]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in journal:
        if row.system_account is None and row.is_of_wallet:
            rows[row.wallet_id].append(row)
    for each in rows.values():
        each.sort(key=lambda row: row.version or 0)
    return rows


def folds(observed: Observed) -> Iterator[str]:
    """Find wallets whose balance is not the fold of their journal at some version, or now."""
    rows = _by_wallet(observed.journal)
    for wallet_id, own in rows.items():
        balance = 0
        for row in own:
            balance += row.posted_delta
            if balance != row.posted_after:
                yield f"wallet {wallet_id} is {row.posted_after} at version {row.version}, its fold {balance}"
                break
    for wallet_id, wallet in observed.wallets.items():
        fold = sum(row.posted_delta for row in rows.get(wallet_id, []))
        if fold != wallet.posted_minor or len(rows.get(wallet_id, [])) != wallet.version:
            yield f"wallet {wallet_id} holds {wallet.posted_minor} at version {wallet.version}, its fold {fold}"
    yield from (f"wallet {wallet_id} has a journal and no row" for wallet_id in rows.keys() - observed.wallets.keys())


def floors(observed: Observed) -> Iterator[str]:
    """Find rows that leave less available than a wallet's floor, though nobody forced it."""
    below: set[str] = set()
    for row in observed.journal:
        wallet = observed.wallets.get(row.wallet_id)
        if row.posted_after is None or wallet is None:
            continue
        available = row.posted_after - (row.held_after or 0)
        if available >= wallet.floor_minor:
            below.discard(row.wallet_id)
        elif FORCED in row.payload:
            below.add(row.wallet_id)
        elif row.wallet_id not in below:
            yield f"wallet {row.wallet_id} is {row.posted_after} at version {row.version}, {row.held_after} of it held"


def held(observed: Observed) -> Iterator[str]:
    """Find wallets of which something else is held than their open holds come to, and than their journal says."""
    folded: Counter[str] = Counter()
    for row in observed.journal:
        folded[row.wallet_id] += row.held_delta
    for wallet_id, wallet in observed.wallets.items():
        told = (wallet.held_minor, folded[wallet_id], observed.open_holds.get(wallet_id, 0))
        if len(set(told)) > 1:
            yield f"wallet {wallet_id} holds {told[0]}, its journal comes to {told[1]}, its open holds to {told[2]}"


def taken_back(history: History) -> Iterator[str]:
    """Find transactions of which more was taken back than their payees got, as the answers tell."""
    got: dict[str, int] = {}
    back: Counter[str] = Counter()
    for done in history.done:
        if len(done.moved) != 1 or "mode" in done.command.body:
            continue
        told, entries = done.answer.json(), done.moved[0].entries
        is_converted = told["type"] == "conversion"
        got[told["id"]] = max(minor for _, minor in entries) if is_converted else minor_of(told["amount"])
        if "related_transaction_id" in told:
            back[told["related_transaction_id"]] += minor_of(told["amount"])
    for transaction, minor in back.items():
        if transaction in got and minor > got[transaction]:
            yield f"{minor} of {transaction} was taken back, its payees got {got[transaction]}"


def dense(observed: Observed) -> Iterator[str]:
    """Find gaps and repeats in the sequences of shards and the versions of wallets, and rows in a wrong shard."""
    shards: dict[int, list[int]] = defaultdict(list)
    for row in observed.journal:
        shards[row.shard].append(row.seq)
        if int(row.wallet_id[-2:], 16) & SHARD_MASK != row.shard:
            yield f"{row.event_id} is not in its wallet's shard"
    yield from (f"shard {shard} is not dense" for shard, seqs in shards.items() if not _is_dense(seqs))
    for wallet_id, rows in _by_wallet(observed.journal).items():
        if not _is_dense([row.version or 0 for row in rows]):
            yield f"the versions of wallet {wallet_id} are not dense"


def _is_dense(numbers: list[int]) -> bool:
    return sorted(numbers) == list(range(1, len(numbers) + 1))


def exactly_once(history: History, observed: Observed) -> Iterator[str]:
    """Find told transactions that are not there as told, and transactions that nobody was told of."""
    there: dict[str, list[Entry]] = defaultdict(list)
    for row in observed.journal:
        if row.transaction_id is not None:
            there[row.transaction_id].extend([] if row.system_account else [(row.wallet_id, row.posted_delta)])
    told: Counter[str] = Counter()
    for done in history.done:
        for moved in done.moved:
            told[moved.transaction_id] += 1
            if sorted(there.get(moved.transaction_id, [])) != sorted(moved.entries):
                yield f"{done.command.key} was told of {moved.transaction_id}: {there.get(moved.transaction_id)}"
        if len(done.moved) == 1 and "mode" not in done.command.body:
            stored = observed.keys.get((done.command.key, 0))
            if stored != done.moved[0].transaction_id:
                yield f"{done.command.key} keeps {stored}, told was {done.moved[0].transaction_id}"
    yield from (f"{transaction} was told under {count} keys" for transaction, count in told.items() if count > 1)
    yield from (f"{transaction} happened and nobody was told" for transaction in there.keys() - told.keys())


def conserved(history: History, observed: Observed) -> Iterator[str]:
    """Find wallets whose balance is not what the answers add up to, and money that came from nowhere."""
    expected: Counter[str] = Counter()
    for done in history.done:
        for moved in done.moved:
            for wallet_id, delta in moved.entries:
                expected[wallet_id] += delta
    for wallet_id, wallet in observed.wallets.items():
        if wallet.posted_minor != expected[wallet_id]:
            yield f"wallet {wallet_id} holds {wallet.posted_minor}, the answers add up to {expected[wallet_id]}"
    total = sum(wallet.posted_minor for wallet in observed.wallets.values())
    if total != expected.total():
        yield f"all wallets hold {total}, the answers add up to {expected.total()}"


def topic_is_journal(observed: Observed) -> Iterator[str]:
    """Find differences between the journal's rows and the distinct events of the topic."""
    distinct: dict[tuple[int, int], Record] = {}
    for record in observed.records:
        first = distinct.setdefault((record.shard, record.seq), record)
        if _content(first) != _content(record):
            yield f"{record.shard}-{record.seq} is in the topic with different contents"
        if record.partition != record.shard % PARTITIONS:
            yield f"{record.shard}-{record.seq} is in partition {record.partition}"
    for row in observed.journal:
        found = distinct.pop((row.shard, row.seq), None)
        if found is None:
            yield f"{row.shard}-{row.seq} is not in the topic"
        elif _content(found) != (row.event_id, row.wallet_id, row.version, row.payload):
            yield f"{row.shard}-{row.seq} is in the topic as another event"
    yield from (f"{shard}-{seq} is in the topic and not in the journal" for shard, seq in distinct)


def _content(record: Record) -> tuple[str, str, int | None, bytes]:
    return record.event_id, record.wallet_id, record.version, record.payload


def read_model_is_journal(observed: Observed) -> Iterator[str]:
    """Find differences between the journal and the read model, rows and wallets."""
    projected = Counter((row.event_id, row.seq, row.amount_minor) for row in observed.read_rows)
    journal = Counter(
        (row.event_id, row.seq, None if row.transaction_id is None else row.posted_delta)
        for row in observed.journal
        if row.is_of_wallet
    )
    yield from (f"event {event[0]} is not projected as it happened" for event in journal - projected)
    yield from (f"event {event[0]} is projected once too often" for event in projected - journal)
    for wallet_id, wallet in observed.wallets.items():
        read = observed.read_wallets.get(wallet_id)
        if read is None or (read.posted_minor, read.version) != (wallet.posted_minor, wallet.version):
            yield f"wallet {wallet_id} is {wallet}, in the read model {read}"
    if len(observed.read_wallets) > len(observed.wallets):
        yield "the read model has wallets that nobody opened"


def ascending(records: Iterable[Record]) -> Iterator[str]:
    """Find shards in which a sequence first comes after a higher one."""
    seen: dict[int, set[int]] = defaultdict(set)
    highest: dict[int, int] = defaultdict(int)
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        if record.seq in seen[record.shard]:
            continue
        seen[record.shard].add(record.seq)
        if record.seq < highest[record.shard]:
            yield f"shard {record.shard}: {record.seq} first comes after {highest[record.shard]}"
        highest[record.shard] = max(highest[record.shard], record.seq)


def drained(observed: Observed) -> Iterator[str]:
    """Return whether the lag stayed above zero."""
    if observed.seconds_to_drain is None:
        yield "the lag did not return to zero"


def refused(observed: Observed) -> Iterator[str]:
    """Find constraints of the ledger that had to refuse what the code in front of them must never send."""
    yield from (f"{name} refused {count} times" for name, count in observed.refusals.items() if name != KEY_TAKEN)


def published_once(observed: Observed) -> Iterator[str]:
    """Find records that were published again although nothing asked for it."""
    if not observed.repeats_nothing:
        return
    times = Counter((record.shard, record.seq) for record in observed.records)
    yield from (f"{shard}-{seq} was published {count} times" for (shard, seq), count in times.items() if count > 1)
