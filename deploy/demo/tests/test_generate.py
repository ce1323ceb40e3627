import gzip
from collections import Counter

from demo.generate import OPERATIONS, SEED, as_text, generate
from demo.model import Model
from demo.operations import DAY, Batch, Repeat, Reuse, count_lines, read_day

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
            verdict = model.apply_batch(line.op)
            kinds[f"{line.op.mode} {verdict.status}"] += 1
            codes.update(str(result.code) for result in verdict.results)
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
        verdicts = model.apply_batch(line.op).results if isinstance(line.op, Batch) else (model.apply(line.op),)
        received.update(leg.wallet for verdict in verdicts for leg in verdict.legs if leg.delta_minor > 0)

    assert {name for name, _ in received.most_common(4)} >= {"fees-usd", "star-usd"}
