"""A trial of rules on the past: the same decisions as the projection's, within bounds, and nothing written."""

from uuid import UUID

from contracts.envelope import Envelope
from contracts.events import FUNDS_SENT
from fraud.application.backtest import Backtest
from fraud.rules.file import parse_rules
from testkit.events import Stream, received, wallet_in

RULES = parse_rules(
    """
version: "1"
rules:
  - {name: burst, type: velocity_count, events: [sent], window: 1m, max_count: 3, outcome: block, mode: live,
     cool_down: 1h}
""",
    source="test",
)


def burst(stream: Stream, wallet: UUID, debits: int = 5) -> list[Envelope]:
    other = wallet_in(9)
    return [stream.opened(wallet), *[stream.transfer(wallet, other)[0] for _ in range(debits)]]


def test_a_burst_is_decided_once_however_often_it_is_delivered() -> None:
    run, events = Backtest(RULES, wallets_max=10), [received(event) for event in burst(Stream(), wallet_in(3))]

    decisions = [*run.judge(events), *run.judge(events)]

    assert [each.trigger.version for each in decisions] == [5]
    assert (run.events, run.decisions, dict(run.fired)) == (6, 1, {("burst", "block", "live"): 1})


def test_a_wallet_with_a_poison_event_is_judged_up_to_there() -> None:
    stream, broken, sound = Stream(), wallet_in(3), wallet_in(3)
    events = [stream.opened(broken), stream.event(FUNDS_SENT, broken, b"{"), *burst(stream, sound)]
    events += [stream.transfer(broken, wallet_in(9))[0] for _ in range(5)]
    run = Backtest(RULES, wallets_max=10)

    decisions = list(run.judge(map(received, events)))

    assert [each.trigger.wallet_id for each in decisions] == [sound]
    assert run.broken == {broken}


def test_wallets_beyond_the_bound_are_left_out_and_counted() -> None:
    stream, wallets = Stream(), [wallet_in(3) for _ in range(3)]
    events = [event for wallet in wallets for event in burst(stream, wallet)]
    run = Backtest(RULES, wallets_max=1)

    decisions = list(run.judge(map(received, events)))

    assert [each.trigger.wallet_id for each in decisions] == wallets[:1]
    assert run.left_out == 2
