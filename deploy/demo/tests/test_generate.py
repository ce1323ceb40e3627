import gzip
from collections import Counter
from collections.abc import Iterator

import yaml

from demo.generate import BURST_AT, MULES, OPERATIONS, SEED, THIEF, as_text, generate
from demo.model import Model
from demo.operations import (
    DAY,
    Batch,
    Capture,
    Convert,
    Hold,
    Lapse,
    Line,
    Payment,
    Policy,
    Repeat,
    Reuse,
    Transfer,
    Withdrawal,
    count_lines,
    read_day,
)
from demo.run import RULES
from demo.states import Expected
from demo.terms import POLICY

MEGABYTE = 1_000_000
KINDS = ("deposit", "withdrawal", "transfer", "payment", "capture", "convert")


def test_the_recorded_day_is_what_the_generator_makes() -> None:
    assert gzip.decompress(DAY.read_bytes()) == as_text(generate(SEED, OPERATIONS))


def test_the_same_seed_makes_the_same_day_and_another_seed_another() -> None:
    assert generate(1, 300) == generate(1, 300)
    assert generate(1, 300) != generate(2, 300)


def test_a_shorter_day_begins_like_the_recorded_one_in_size() -> None:
    assert len(list(read_day(DAY, first=500))) == 500


def test_the_recorded_day_is_long_and_its_file_small() -> None:
    assert count_lines(DAY) >= 20_000
    assert DAY.stat().st_size < MEGABYTE


def played() -> Iterator[tuple[Line, tuple[Expected, ...]]]:
    """Give the lines that ask for something, with what the model says of each."""
    model = Model()
    for line in read_day(DAY):
        if isinstance(line.op, Batch):
            yield line, model.apply_batch(line.op).results
        elif not isinstance(line.op, Repeat | Reuse):
            yield line, (model.apply(line.op, line=line.n),)


def test_the_recorded_day_has_every_kind_of_operation_and_refusal() -> None:
    kinds, codes = Counter[str](), Counter[str]()
    for line in read_day(DAY):
        kinds[type(line.op).__name__] += 1
        kinds["at once"] += line.copies > 1
    for line, answers in played():
        if isinstance(line.op, Batch):
            kinds[f"{line.op.mode} {200 if answers else 409}"] += 1
        codes.update(str(result.code) for result in answers)

    assert {"Open", "Deposit", "Withdrawal", "Transfer", "Freeze", "Unfreeze", "Close"} < kinds.keys()
    assert {"Repeat", "Reuse", "at once", "atomic 200", "atomic 409", "independent 200"} < kinds.keys()
    assert {"Payment", "Hold", "Increase", "Capture", "Void", "Lapse", "Refund", "Reverse"} < kinds.keys()
    assert {"ChargeBack", "Quote", "Convert", "Policy", "Tier", "Limits", "Overdraft", "Describe"} < kinds.keys()
    refusals = {"insufficient_funds", "wallet_frozen", "wallet_closed", "currency_mismatch", "wallet_not_found"}
    assert refusals | {"wallet_not_empty", "wallet_not_frozen"} < codes.keys()
    of_money = {"limit_exceeded", "capture_exceeds_hold", "hold_settled", "refund_exceeds_transaction", "quote_used"}
    assert of_money | {"transaction_reversed", "pair_not_offered"} < codes.keys()


def test_holds_end_in_every_way_and_money_goes_back_of_every_kind_of_transaction() -> None:
    model, ways = Model(), Counter[str]()
    for line in read_day(DAY):
        if isinstance(line.op, Batch):
            model.apply_batch(line.op)
        elif not isinstance(line.op, Repeat | Reuse):
            answer = model.apply(line.op, line=line.n)
            if isinstance(line.op, Capture) and answer.code is None:
                hold = model.holds[line.op.of]
                ways["several payees"] += len(line.op.payees) > 1
                ways["of a part"] += hold.status == "open"
                ways["final"] += line.op.is_final
                ways["beyond it"] += line.op.amount is not None and len(hold.placings) > 1
    taken_back = {(each.kind, each.status) for each in model.transactions.values() if each.refunds}

    assert {hold.status for hold in model.holds.values()} == {"open", "captured", "voided", "expired"}
    assert all(ways[way] for way in ("several payees", "of a part", "final", "beyond it"))
    assert {kind for kind, _ in taken_back} == {*KINDS, "chargeback"}
    assert {status for _, status in taken_back} == {"partially_refunded", "refunded", "reversed"}
    accounts = {account.partition(":")[0] for account, minor in model.books.accounts.items() if minor}
    assert accounts == {"external", "fees", "fx", "spread", "rounding"}


def test_nothing_comes_between_a_hold_that_ends_by_itself_and_its_end() -> None:
    lines = list(read_day(DAY))
    lapses = [line for line in lines if isinstance(line.op, Lapse)]

    assert lapses
    assert all(isinstance(line.op, Lapse) and line.op.of == line.n - 1 and line.copies == 1 for line in lapses)


def test_the_policy_stands_before_everything_else() -> None:
    lines = [line for line in read_day(DAY) if isinstance(line.op, Policy)]

    assert [line.n for line in lines] == list(range(1, len(POLICY) + 1))
    assert [line.op.version for line in lines if isinstance(line.op, Policy)] == list(range(len(POLICY)))


def test_repeats_name_an_earlier_line_whose_answer_is_kept() -> None:
    kept = set()
    for line in read_day(DAY):
        of = getattr(line.op, "of", None)
        assert of is None or of in kept
        if line.is_answer_kept:
            kept.add(line.n)


def test_a_few_wallets_are_hot() -> None:
    received: Counter[str] = Counter()
    for _, answers in played():
        received.update(
            entry.account for each in answers for entry in each.entries if entry.is_wallets and entry.delta_minor > 0
        )

    assert {name for name, _ in received.most_common(4)} >= {"fees-usd", "star-usd"}


def most_debits_in_an_hour() -> dict[str, int]:
    """Return, by wallet, how many debits of one hour of the day there are at most."""
    debits: dict[str, list[int]] = {}
    for line in read_day(DAY):
        commands = line.op.commands if isinstance(line.op, Batch) else (line.op,)
        for command in commands:
            match command:
                case Transfer() | Payment() | Convert():
                    debits.setdefault(command.source, []).append(line.at_s)
                case Withdrawal() | Hold():
                    debits.setdefault(command.wallet, []).append(line.at_s)
                case _:
                    pass
    return {
        name: max(sum(1 for time in times if end - 3600 < time <= end) for end in times)
        for name, times in debits.items()
    }


def test_the_burst_alone_is_far_above_what_the_rule_allows() -> None:
    allowed = yaml.safe_load(RULES.read_text())["rules"][0]["max_count"]
    most = most_debits_in_an_hour()

    assert most.pop(THIEF) > allowed
    assert max(most.values()) * 3 < allowed, "a platform that lags plays three hours at once, and nobody else is caught"


def test_the_mules_move_more_in_a_day_than_the_rule_allows_in_an_hour() -> None:
    allowed = yaml.safe_load(RULES.read_text())["rules"][0]["max_count"]
    moves = Counter(line.op.source for line in read_day(DAY) if isinstance(line.op, Transfer))

    assert all(moves[mule] > allowed for mule in MULES[:-1])


def test_the_line_of_the_burst_says_whom_it_trips() -> None:
    assert [(line.n, line.trips) for line in read_day(DAY) if line.trips] == [(BURST_AT, THIEF)]
