import gzip
from collections import Counter

import yaml

from demo.generate import BURST_AT, MULES, OPERATIONS, SEED, THIEF, as_text, generate
from demo.model import Model
from demo.operations import DAY, Batch, Repeat, Reuse, Transfer, Withdrawal, count_lines, read_day
from demo.run import RULES

MEGABYTE = 1_000_000


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


def test_the_recorded_day_has_every_kind_of_operation_and_refusal() -> None:
    model, kinds, codes = Model(), Counter[str](), Counter[str]()
    for line in read_day(DAY):
        kinds[type(line.op).__name__] += 1
        kinds["at once"] += line.copies > 1
        if isinstance(line.op, Batch):
            answers = model.apply_batch(line.op)
            kinds[f"{line.op.mode} {answers.status}"] += 1
            codes.update(str(result.code) for result in answers.results)
        elif not isinstance(line.op, Repeat | Reuse):
            codes[str(model.apply(line.op).code)] += 1

    assert {"Open", "Deposit", "Withdrawal", "Transfer", "Freeze", "Unfreeze", "Close"} < kinds.keys()
    assert {"Repeat", "Reuse", "at once", "atomic 200", "atomic 409", "independent 200"} < kinds.keys()
    refusals = {"insufficient_funds", "wallet_frozen", "wallet_closed", "currency_mismatch", "wallet_not_found"}
    assert refusals | {"wallet_not_empty", "wallet_not_frozen"} < codes.keys()


def test_repeats_name_an_earlier_line_whose_answer_is_kept() -> None:
    kept = set()
    for line in read_day(DAY):
        if isinstance(line.op, Repeat | Reuse):
            assert line.op.of in kept
        if line.is_answer_kept:
            kept.add(line.n)


def test_a_few_wallets_are_hot() -> None:
    received: Counter[str] = Counter()
    model = Model()
    for line in read_day(DAY):
        if isinstance(line.op, Repeat | Reuse):
            continue
        answers = model.apply_batch(line.op).results if isinstance(line.op, Batch) else (model.apply(line.op),)
        received.update(entry.wallet for each in answers for entry in each.entries if entry.delta_minor > 0)

    assert {name for name, _ in received.most_common(4)} >= {"fees-usd", "star-usd"}


def most_debits_in_an_hour() -> dict[str, int]:
    """Return, by wallet, how many debits of one hour of the day there are at most."""
    debits: dict[str, list[int]] = {}
    for line in read_day(DAY):
        commands = line.op.commands if isinstance(line.op, Batch) else (line.op,)
        for command in commands:
            match command:
                case Transfer():
                    debits.setdefault(command.source, []).append(line.at_s)
                case Withdrawal():
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
