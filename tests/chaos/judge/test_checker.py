"""A checker that cannot fail proves nothing: each planted breach is found under its name, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from tests.chaos.judge.checker import check
from tests.chaos.judge.observed import Observed, Projected, Record, Row, Wallet
from tests.chaos.load.client import Response
from tests.chaos.load.history import Command, Done, History, Moved, is_definite

ANNA = "0190a000-0000-7000-8000-000000000001"
BERT = "0190a000-0000-7000-8000-000000000002"
DEPOSIT, TRANSFER = "deposit-id", "transfer-id"


@dataclass
class World:
    history: History
    observed: Observed

    def rewrite(self, event_id: str, **changes: object) -> None:
        """Change one journal row."""
        rows = self.observed.journal
        self.observed.journal = [replace(row, **changes) if row.event_id == event_id else row for row in rows]  # type: ignore[arg-type]  # a test names its own fields

    def breaches(self) -> set[str]:
        """Return the names of the invariants that do not hold."""
        return {name for name, found in check(self.history, self.observed).items() if found}


def row(seq: int, event_id: str, wallet_id: str, version: int | None, **more: object) -> Row:
    fields = {
        "shard": int(wallet_id[-2:], 16) & 63,
        "seq": seq,
        "event_id": event_id,
        "wallet_id": wallet_id,
        "system_account": None,
        "version": version,
        "transaction_id": None,
        "currency": "USD",
        "posted_delta": 0,
        "posted_after": 0,
        "payload": event_id.encode(),
        "held_after": 0,
    }
    return Row(**{**fields, **more})  # type: ignore[arg-type]  # a test names its own fields


def journal() -> list[Row]:
    """Return two openings, a deposit of 100 for Anna, and a transfer of 30 from her to Bert."""
    paid = {"transaction_id": DEPOSIT}
    sent = {"transaction_id": TRANSFER}
    return [
        row(1, "e1", ANNA, 1),
        row(2, "e2", ANNA, 2, **paid, posted_delta=100, posted_after=100),
        row(3, "e3", ANNA, None, **paid, posted_delta=-100, posted_after=None, system_account="external:USD"),
        row(4, "e4", ANNA, 3, **sent, posted_delta=-30, posted_after=70),
        row(1, "e5", BERT, 1),
        row(2, "e6", BERT, 2, **sent, posted_delta=30, posted_after=30),
    ]


def record(offset: int, of: Row) -> Record:
    return Record(
        partition=of.shard % 16,
        offset=offset,
        shard=of.shard,
        seq=of.seq,
        event_id=of.event_id,
        wallet_id=of.wallet_id,
        version=of.version,
        payload=of.payload,
    )


def done(key: str, transaction_id: str, *entries: tuple[str, int]) -> Done:
    command = Command("transfer", key, "/v1/transfers", {}, (entries,))
    told = {"id": transaction_id, "type": "transfer", "amount": {"amount": "0.30", "currency": "USD"}}
    answer = Response(201, {}, json.dumps(told).encode())
    moved = (Moved(transaction_id, entries),)
    return Done(command, answer, attempts=1, was_found=False, moved=moved)


@pytest.fixture
def world() -> World:
    history = History()
    history.done = [done("k1", DEPOSIT, (ANNA, 100)), done("k2", TRANSFER, (ANNA, -30), (BERT, 30))]
    rows = journal()
    wallets = {ANNA: Wallet(70, 3), BERT: Wallet(30, 2)}
    observed = Observed(
        wallets=wallets,
        journal=rows,
        keys={("k1", 0): DEPOSIT, ("k2", 0): TRANSFER},
        records=[record(offset, each) for offset, each in enumerate(rows)],
        read_wallets=dict(wallets),
        read_rows=[
            Projected(each.seq, each.event_id, each.posted_delta if each.transaction_id else None) for each in rows
        ],
        seconds_to_drain=0.1,
    )
    return World(history, observed)


def test_a_sound_run_has_no_breach(world: World) -> None:
    assert world.breaches() == set()


def test_duplicates_and_replays_in_the_topic_are_no_breach(world: World) -> None:
    again = [replace(each, offset=each.offset + 100) for each in world.observed.records]
    world.observed.records += again

    assert world.breaches() == set()


def test_a_key_given_to_two_instances_at_once_is_no_breach(world: World) -> None:
    world.observed.refusals["idempotency_pkey"] = 3

    assert world.breaches() == set()


def lose_a_row(world: World) -> None:
    del world.observed.journal[1]


def lose_the_newest_row(world: World) -> None:
    del world.observed.journal[3]


def unbalance(world: World) -> None:
    world.rewrite("e6", posted_delta=31, posted_after=31)


def move_money_without_a_transaction(world: World) -> None:
    world.rewrite("e1", posted_delta=5)


def change_a_balance(world: World) -> None:
    world.observed.wallets[ANNA] = Wallet(71, 3)


def break_a_fold_in_the_middle(world: World) -> None:
    world.rewrite("e2", posted_after=99)


def overdraw(world: World) -> None:
    world.observed.wallets[BERT] = Wallet(30, 2, floor_minor=31)


def hold_by_no_hold(world: World) -> None:
    world.observed.wallets[BERT] = Wallet(30, 2, held_minor=5)


def lose_what_is_held(world: World) -> None:
    world.observed.open_holds[BERT] = 5


def take_back_more_than_was_paid(world: World) -> None:
    told = {"id": DEPOSIT, "type": "refund", "amount": {"amount": "0.31", "currency": "USD"}}
    answer = Response(201, {}, json.dumps({**told, "related_transaction_id": TRANSFER}).encode())
    world.history.done[0] = replace(world.history.done[0], answer=answer)


def skip_a_sequence(world: World) -> None:
    world.rewrite("e4", seq=5)


def skip_a_version(world: World) -> None:
    world.rewrite("e6", version=3)


def apply_twice(world: World) -> None:
    twice = {"transaction_id": "another-id"}
    world.observed.journal += [
        row(5, "e7", ANNA, 4, **twice, posted_delta=-30, posted_after=40),
        row(3, "e8", BERT, 3, **twice, posted_delta=30, posted_after=60),
    ]


def apply_twice_under_one_id(world: World) -> None:
    sent = {"transaction_id": TRANSFER}
    world.observed.journal += [
        row(5, "e7", ANNA, 4, **sent, posted_delta=-30, posted_after=40),
        row(3, "e8", BERT, 3, **sent, posted_delta=30, posted_after=60),
    ]


def forget_an_acknowledged_command(world: World) -> None:
    world.history.done.append(done("k3", "lost-id", (ANNA, 5)))


def answer_one_transaction_to_two_keys(world: World) -> None:
    world.history.done.append(done("k3", TRANSFER, (ANNA, -30), (BERT, 30)))


def keep_another_id_under_the_key(world: World) -> None:
    world.observed.keys["k1", 0] = TRANSFER


def leave_a_command_unsettled(world: World) -> None:
    world.history.undecided.append("k9")


def lose_a_record(world: World) -> None:
    del world.observed.records[5]


def publish_what_never_happened(world: World) -> None:
    world.observed.records.append(record(9, row(5, "e9", ANNA, 4)))


def publish_another_payload_in_a_repeat(world: World) -> None:
    world.observed.records.append(replace(world.observed.records[1], offset=9, payload=b"other"))


def publish_into_another_partition(world: World) -> None:
    world.observed.records[5] = replace(world.observed.records[5], partition=7)


def publish_out_of_order(world: World) -> None:
    first, second, *rest = world.observed.records
    world.observed.records = [replace(first, offset=1), replace(second, offset=0), *rest]


def forget_a_projected_row(world: World) -> None:
    world.observed.read_rows.pop()


def project_twice(world: World) -> None:
    world.observed.read_rows.append(world.observed.read_rows[1])


def project_another_balance(world: World) -> None:
    world.observed.read_wallets[BERT] = Wallet(31, 2)


def move_a_checkpoint_back(world: World) -> None:
    world.observed.samples.checkpoint("history", 3, 10)
    world.observed.samples.checkpoint("history", 3, 9)


def see_money_appear_for_a_moment(world: World) -> None:
    world.observed.samples.total(101, -100)


def answer_a_repeat_otherwise(world: World) -> None:
    world.history.compare(world.history.done[0], Response(201, {}, b'{"id": "other"}'))


def never_drain(world: World) -> None:
    world.observed.seconds_to_drain = None


def be_refused_by_a_constraint(world: World) -> None:
    world.observed.refusals["journal_0_pkey"] = 1


def publish_again_for_no_reason(world: World) -> None:
    world.observed.repeats_nothing = True
    world.observed.records.append(replace(world.observed.records[0], offset=9))


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lose_a_row, {"I1", "I2", "I4", "I5", "I6"}),
        (lose_the_newest_row, {"I1", "I2", "I5", "I6"}),
        (unbalance, {"I1", "I2", "I5", "I6"}),
        (move_money_without_a_transaction, {"I1", "I2"}),
        (change_a_balance, {"I2", "I5", "I6"}),
        (break_a_fold_in_the_middle, {"I2"}),
        (overdraw, {"I3"}),
        (hold_by_no_hold, {"I11"}),
        (lose_what_is_held, {"I11"}),
        (take_back_more_than_was_paid, {"I11"}),
        (skip_a_sequence, {"I4", "I6"}),
        (skip_a_version, {"I4", "I6"}),
        (apply_twice, {"I2", "I5", "I6"}),
        (apply_twice_under_one_id, {"I2", "I5", "I6"}),
        (forget_an_acknowledged_command, {"I5"}),
        (answer_one_transaction_to_two_keys, {"I5"}),
        (keep_another_id_under_the_key, {"I5"}),
        (leave_a_command_unsettled, {"settled"}),
        (lose_a_record, {"I6"}),
        (publish_what_never_happened, {"I6"}),
        (publish_another_payload_in_a_repeat, {"I6"}),
        (publish_into_another_partition, {"I6"}),
        (publish_out_of_order, {"I7"}),
        (forget_a_projected_row, {"I6"}),
        (project_twice, {"I6"}),
        (project_another_balance, {"I6"}),
        (move_a_checkpoint_back, {"I9"}),
        (see_money_appear_for_a_moment, {"I1"}),
        (answer_a_repeat_otherwise, {"I10"}),
        (never_drain, {"I14"}),
        (be_refused_by_a_constraint, {"constraints"}),
        (publish_again_for_no_reason, {"once"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_planted_breach_is_found(world: World, plant: Callable[[World], None], found: set[str]) -> None:
    plant(world)

    assert world.breaches() == found


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, b'{"id": "1"}', True),
        (409, b'{"code": "insufficient_funds"}', True),
        (422, b'{"code": "idempotency_key_reused"}', True),
        (409, b'{"code": "in_flight"}', False),
        (503, b'{"code": "outcome_unknown"}', False),
        (200, b'{"results": [{"status": 201, "body": {}, "problem": null}]}', True),
        (200, b'{"results": [{"status": 503, "body": null, "problem": {"code": "overloaded"}}]}', False),
    ],
)
def test_only_a_definite_answer_settles_a_command(status: int, body: bytes, expected: bool) -> None:  # noqa: FBT001
    assert is_definite(Response(status, {}, body)) is expected
