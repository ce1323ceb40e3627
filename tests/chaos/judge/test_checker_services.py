"""The judge of webhooks and decisions finds each planted breach."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.chaos.judge.checker_services import arrived, decided_once, one_id, owed, profiled
from tests.chaos.judge.observed import (
    Decision,
    Decisions,
    Delivery,
    Endpoint,
    Observed,
    Post,
    Record,
    Row,
    Wallet,
    Webhooks,
)

ANNA, BERT = "wallet-anna", "wallet-bert"
ALL, ANNAS = "endpoint-all", "endpoint-annas"
CHECKS = (owed, one_id, arrived, profiled, decided_once)


def row(seq: int, event_id: str, wallet_id: str, system_account: str | None = None) -> Row:
    return Row(
        shard=1,
        seq=seq,
        event_id=event_id,
        wallet_id=wallet_id,
        system_account=system_account,
        version=None if system_account else seq,
        transaction_id=None,
        currency="USD",
        posted_delta=0,
        posted_after=0,
        payload=b"",
    )


def delivery(endpoint_id: str, event_id: str, attempts: int = 1) -> Delivery:
    return Delivery(endpoint_id=endpoint_id, message_id=event_id, status="delivered", attempts=attempts)


def post(endpoint_id: str, event_id: str) -> Post:
    return Post(
        endpoint_id=endpoint_id, webhook_id=f"msg_{event_id}", event_id=event_id, is_signed=True, is_accepted=True
    )


def record(seq: int, event_id: str) -> Record:
    return Record(
        partition=1, offset=seq, shard=1, seq=seq, event_id=event_id, wallet_id=ANNA, version=None, payload=b""
    )


class World:
    def __init__(self) -> None:
        """Make two endpoints that came after the first event, and a block and a review of Anna."""
        self.webhooks = Webhooks(
            endpoints=[
                Endpoint(id=ALL, since={1: 1}),
                Endpoint(id=ANNAS, since={1: 1}, wallets=frozenset({ANNA})),
            ],
            deliveries=[delivery(ALL, "e2", attempts=2), delivery(ALL, "e4"), delivery(ANNAS, "e2")],
            posts=[post(ALL, "e2"), post(ALL, "e2"), post(ALL, "e4"), post(ANNAS, "e2")],
            are_sent=True,
        )
        self.decisions = Decisions(
            profiles={ANNA: 2, BERT: 4},
            made=[Decision("d1", "block", "live"), Decision("d2", "block", "shadow")],
            outbox={(1, 1): "d1", (1, 2): "d2"},
            records=[record(1, "d1"), record(2, "d2"), record(1, "d1")],
            settled=[("d1", "applied"), ("d2", "noted")],
            caused=["d1"],
        )
        self.observed = Observed(
            wallets={ANNA: Wallet(0, 2), BERT: Wallet(0, 4)},
            journal=[row(1, "e1", ANNA), row(2, "e2", ANNA), row(3, "e3", ANNA, "external:USD"), row(4, "e4", BERT)],
            keys={},
            records=[],
            read_wallets={},
            read_rows=[],
            webhooks=self.webhooks,
            decisions=self.decisions,
        )

    def breaches(self) -> set[str]:
        """Return the names of the checks that found something."""
        return {check.__name__ for check in CHECKS if list(check(self.observed))}


def test_a_sound_run_has_no_breach() -> None:
    world = World()

    assert world.breaches() == set()
    assert world.webhooks.repeats == 1


def test_a_platform_without_the_services_has_no_breach() -> None:
    world = World()
    world.observed.webhooks = world.observed.decisions = None

    assert world.breaches() == set()


def test_deliveries_without_workers_need_not_arrive() -> None:
    world = World()
    world.webhooks.are_sent = False
    world.webhooks.posts.clear()

    assert world.breaches() == set()


def test_an_endpoint_that_is_gone_is_owed_no_more() -> None:
    world = World()
    world.webhooks.endpoints[1] = replace(world.webhooks.endpoints[1], is_gone=True)
    world.webhooks.posts.pop()
    world.webhooks.deliveries[2] = replace(world.webhooks.deliveries[2], status="cancelled")

    assert world.breaches() == set()


def forget_a_delivery(world: World) -> None:
    del world.webhooks.deliveries[1]
    del world.webhooks.posts[2]


def record_twice(world: World) -> None:
    world.webhooks.deliveries.append(delivery(ALL, "e4"))


def tell_of_another_wallet(world: World) -> None:
    world.webhooks.deliveries.append(delivery(ANNAS, "e4"))
    world.webhooks.posts.append(post(ANNAS, "e4"))


def tell_what_was_before(world: World) -> None:
    world.webhooks.deliveries.append(delivery(ALL, "e1"))
    world.webhooks.posts.append(post(ALL, "e1"))


def change_the_id_in_a_repeat(world: World) -> None:
    world.webhooks.posts[1] = replace(world.webhooks.posts[1], webhook_id="msg_other")


def sign_badly(world: World) -> None:
    world.webhooks.posts[0] = replace(world.webhooks.posts[0], is_signed=False)


def send_without_an_attempt(world: World) -> None:
    world.webhooks.posts.append(post(ANNAS, "e2"))


def lose_a_webhook(world: World) -> None:
    del world.webhooks.posts[2]


def give_up(world: World) -> None:
    world.webhooks.deliveries[1] = replace(world.webhooks.deliveries[1], status="exhausted")


def profile_too_little(world: World) -> None:
    world.decisions.profiles[ANNA] = 1


def decide_twice(world: World) -> None:
    world.decisions.outbox[1, 3] = "d1"
    world.decisions.records.append(record(3, "d1"))


def decide_and_tell_nobody(world: World) -> None:
    world.decisions.made.append(Decision("d3", "review", "live"))
    world.decisions.settled.append(("d3", "noted"))


def leave_a_decision_unpublished(world: World) -> None:
    world.decisions.records.pop(1)


def publish_what_nobody_decided(world: World) -> None:
    world.decisions.records.append(record(3, "d3"))


def leave_a_decision_unsettled(world: World) -> None:
    world.decisions.settled.pop()


def settle_what_nobody_decided(world: World) -> None:
    world.decisions.settled.append(("d3", "noted"))


def settle_twice(world: World) -> None:
    world.decisions.settled.append(("d2", "noted"))


def apply_twice(world: World) -> None:
    world.decisions.caused.append("d1")


def apply_a_shadow(world: World) -> None:
    world.decisions.settled[1] = ("d2", "applied")
    world.decisions.caused.append("d2")


def claim_to_have_applied(world: World) -> None:
    world.decisions.caused.clear()


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (forget_a_delivery, {"owed"}),
        (record_twice, {"owed"}),
        (tell_of_another_wallet, {"owed"}),
        (tell_what_was_before, {"owed"}),
        (change_the_id_in_a_repeat, {"one_id"}),
        (sign_badly, {"one_id"}),
        (send_without_an_attempt, {"one_id"}),
        (lose_a_webhook, {"arrived"}),
        (give_up, {"arrived"}),
        (profile_too_little, {"profiled"}),
        (decide_twice, {"decided_once"}),
        (decide_and_tell_nobody, {"decided_once"}),
        (leave_a_decision_unpublished, {"decided_once"}),
        (publish_what_nobody_decided, {"decided_once"}),
        (leave_a_decision_unsettled, {"decided_once"}),
        (settle_what_nobody_decided, {"decided_once"}),
        (settle_twice, {"decided_once"}),
        (apply_twice, {"decided_once"}),
        (apply_a_shadow, {"decided_once"}),
        (claim_to_have_applied, {"decided_once"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_planted_breach_is_found(plant: Callable[[World], None], found: set[str]) -> None:
    world = World()

    plant(world)

    assert world.breaches() == found
