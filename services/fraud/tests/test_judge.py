"""Folding and judging, against a model that keeps everything and counts in floats-free fractions."""

import random
from datetime import timedelta
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.decisions import DecisionMode, DecisionOutcome
from contracts.envelope import Envelope
from contracts.events import FUNDS_SENT, UNRESTRICTED, Restriction, RestrictionsChanged, parse_data
from fraud.domain.judge import Decision, decision_id_of, step, unless_stale
from fraud.domain.profile import Contradiction, Profile
from fraud.domain.rules import AmountRatio, AmountZ, AnyRule, RuleSet, VelocityCount, VelocitySum
from fraud.domain.wallet_events import WalletEvent, to_us, wallet_event
from fraud.projection.profile_rows import state_of
from fraud.projection.projection import run
from fraud.rules.file import parse_rules
from testkit.events import EPOCH, Stream, wallet_in

COUNT = "{name: count, type: velocity_count, window: 10s, max_count: 3, %s}"
SUM = "{name: sum, type: velocity_sum, window: 10s, max_amount: {USD: '10.00'}, %s}"
RATIO = "{name: ratio, type: amount_ratio, min_history: 3, max_ratio: '4', min_amount: {USD: '0'}, %s}"
Z = "{name: z, type: amount_z, min_history: 3, max_z: '2.5', min_amount: {USD: '0'}, %s}"
COMMON = "events: [sent], outcome: block, mode: live, cool_down: %s"


def rules(*wanted: str, cool_down: str = "0s", time_compression: int = 1) -> RuleSet:
    lines = [f"  - {rule % (COMMON % cool_down)}" for rule in wanted]
    return parse_rules("version: '1'\nrules:\n" + "\n".join(lines), source="test", time_compression=time_compression)


def at(event: Envelope, second: float) -> Envelope:
    """Return *event* at a time of its own."""
    return Envelope(
        **{name: getattr(event, name) for name in event.__struct_fields__ if name != "time"},
        time=EPOCH + timedelta(seconds=second),
    )


def seen(event: Envelope) -> WalletEvent:
    known = wallet_event(event, parse_data(event.type, event.data))
    assert known is not None
    return known


class Wallet:
    """A wallet whose debits come at times and of amounts that the test chooses."""

    def __init__(self) -> None:
        self.stream, self.wallet_id, self.other = Stream(), wallet_in(5), wallet_in(6)
        self.events = [at(self.stream.opened(self.wallet_id), 0)]

    def sends(self, second: float, amount_minor: int = 100) -> Envelope:
        sent, _ = self.stream.transfer(self.wallet_id, self.other, amount_minor)
        self.events.append(at(sent, second))
        return self.events[-1]

    def is_restricted(self, second: float, *, lifted: bool) -> None:
        self.events.append(at(self.stream.restricted(self.wallet_id, lifted=lifted), second))

    def judged(self, by: RuleSet) -> list[Decision]:
        return run({}, map(seen, self.events), by)[1]

    def profile(self, by: RuleSet) -> Profile:
        return run({}, map(seen, self.events), by)[0][0]


def versions(decisions: list[Decision]) -> list[int]:
    return [decision.trigger.version for decision in decisions]


def test_the_debit_after_the_last_allowed_one_trips_the_rule() -> None:
    wallet = Wallet()
    for second in (1, 2, 3, 10.999):
        wallet.sends(second)

    (decision,) = wallet.judged(rules(COUNT))

    assert (decision.outcome, decision.mode) == (DecisionOutcome.BLOCK, DecisionMode.LIVE)
    assert decision.trigger.envelope == wallet.events[-1]
    assert decision.decision_id == decision_id_of(rules(COUNT).version, wallet.wallet_id, wallet.events[-1].event_id)
    (reason,) = decision.reasons
    assert (reason.rule, reason.measure, reason.value, reason.threshold) == ("count", "debits in 10 s", "4", "3")


def test_a_debit_as_old_as_the_window_is_out_of_it() -> None:
    wallet = Wallet()
    for second in (1, 2, 3, 11):
        wallet.sends(second)

    assert wallet.judged(rules(COUNT)) == []


def test_a_rule_that_fired_is_quiet_until_its_cool_down_is_over() -> None:
    wallet = Wallet()
    for second in range(1, 31):
        wallet.sends(second)

    assert versions(wallet.judged(rules(COUNT, cool_down="15s"))) == [5, 20]


def test_an_unfrozen_wallet_starts_anew_and_a_new_burst_is_caught() -> None:
    wallet = Wallet()
    for second in (1, 2, 3, 4):
        wallet.sends(second)
    wallet.is_restricted(5, lifted=False)
    wallet.is_restricted(6, lifted=True)
    for moment in (7, 7.1, 7.2, 7.3):
        wallet.sends(moment)

    assert versions(wallet.judged(rules(COUNT, cool_down="1h"))) == [5, 11]


def test_what_others_lift_changes_nothing_while_a_restriction_of_fraud_is_left() -> None:
    wallet = Wallet()
    for second in (1, 2, 3, 4):
        wallet.sends(second)
    body = RestrictionsChanged(
        wallet_id=str(wallet.wallet_id),
        owner_id="owner",
        source="operator",
        scope="debits",
        restrictions=[Restriction(source="fraud", scope="debits")],
        balance=parse_data(FUNDS_SENT.name, wallet.events[-1].data).balance,  # type: ignore[union-attr]
        private=None,
    )
    wallet.events.append(at(wallet.stream.event(UNRESTRICTED, wallet.wallet_id, body), 5))
    wallet.sends(6)

    assert versions(wallet.judged(rules(COUNT, cool_down="1h"))) == [5]
    assert versions(wallet.judged(rules(COUNT))) == [5, 7]


def test_windows_and_cool_downs_are_compressed_together() -> None:
    wallet = Wallet()
    for second in range(1, 31):
        wallet.sends(second / 10)

    assert versions(wallet.judged(rules(COUNT, cool_down="15s", time_compression=10))) == [5, 20]


def test_a_rule_in_shadow_never_makes_a_decision_stricter() -> None:
    wallet = Wallet()
    for second in (1, 2, 3, 4):
        wallet.sends(second, 900)
    text = (
        "version: '1'\nrules:\n"
        "  - {name: a, type: velocity_count, window: 9s, max_count: 3, events: [sent], outcome: block, mode: shadow,"
        " cool_down: 0s}\n"
        "  - {name: b, type: velocity_sum, window: 9s, max_amount: {USD: '30'}, events: [sent], outcome: review,"
        " mode: live, cool_down: 0s}\n"
    )

    (live,) = wallet.judged(parse_rules(text, source="test"))
    (shadow,) = wallet.judged(parse_rules(text, source="test", is_shadow=True))

    assert (live.outcome, live.mode) == (DecisionOutcome.REVIEW, DecisionMode.LIVE)
    assert (shadow.outcome, shadow.mode) == (DecisionOutcome.BLOCK, DecisionMode.SHADOW)
    assert {reason.rule for reason in live.reasons} == {"a", "b"}
    assert live.decision_id != shadow.decision_id


def test_a_currency_that_is_not_named_is_let_be() -> None:
    wallet = Wallet()
    for second in (1, 2, 3):
        wallet.sends(second, 10_000)

    assert wallet.judged(rules(SUM.replace("USD", "EUR"))) == []
    assert versions(wallet.judged(rules(SUM))) == [2, 3, 4]


def test_an_amount_far_above_the_mean_is_told_with_its_ratio() -> None:
    wallet = Wallet()
    for second, amount_minor in enumerate((100, 200, 300, 901), 1):
        wallet.sends(second, amount_minor)

    (decision,) = wallet.judged(rules(RATIO))

    (reason,) = decision.reasons
    assert (reason.measure, reason.value, reason.threshold) == ("times the mean of 3 debits", "4.5", "4")


def test_a_past_without_deviation_tells_nothing() -> None:
    wallet = Wallet()
    for second, amount_minor in enumerate((100, 100, 100, 90_000), 1):
        wallet.sends(second, amount_minor)

    assert wallet.judged(rules(Z)) == []


@pytest.mark.parametrize("break_it", ["repeated", "skipped", "unopened", "opened twice"])
def test_what_contradicts_the_profile_is_refused(break_it: str) -> None:
    wallet = Wallet()
    wallet.sends(1)
    wallet.sends(2)
    opened, one, two = wallet.events
    order = {
        "repeated": [opened, one, one],
        "skipped": [opened, two],
        "unopened": [one],
        "opened twice": [opened, opened],
    }[break_it]

    with pytest.raises(Contradiction):
        run({}, map(seen, order), rules(COUNT))


# -- the model


def expected(wallet: Wallet, rule: AnyRule) -> list[int]:
    """Return the versions at which *rule* fires without a cool-down, from nothing but the list of debits."""
    past: list[tuple[int, int]] = []
    fired = []
    for event in wallet.events[1:]:
        known = seen(event)
        amount = int(known.payload.amount_minor)  # type: ignore[union-attr]  # every event but the first is a debit
        if _fires(rule, past, to_us(event.time), amount):
            fired.append(known.version)
        past.append((to_us(event.time), amount))
    return fired


def _fires(rule: AnyRule, past: list[tuple[int, int]], now_us: int, amount: int) -> bool:
    amounts = [each for _, each in past]
    if isinstance(rule, VelocityCount | VelocitySum):
        window = [each for at_us, each in past if at_us > now_us - rule.window_us] + [amount]
        return len(window) > 3 if isinstance(rule, VelocityCount) else sum(window) > 1_000
    if len(amounts) < 3:
        return False
    mean = Fraction(sum(amounts), len(amounts))
    if isinstance(rule, AmountRatio):
        return amount / mean > 4
    assert isinstance(rule, AmountZ)
    variance = sum((each - mean) ** 2 for each in amounts) / len(amounts)
    return variance > 0 and amount > mean and (amount - mean) ** 2 / variance > Fraction("6.25")


DEBITS = st.lists(st.tuples(st.integers(0, 8_000), st.integers(1, 700)), max_size=40)


@given(DEBITS)
def test_every_rule_fires_exactly_where_the_model_says(debits: list[tuple[int, int]]) -> None:
    wallet, now_ms = Wallet(), 0
    for gap_ms, amount_minor in debits:
        now_ms += gap_ms
        wallet.sends(now_ms / 1_000, amount_minor)
    everything = rules(COUNT, SUM, RATIO, Z)

    fired: dict[str, list[int]] = {rule.name: [] for rule in everything.rules}
    for decision in wallet.judged(everything):
        for reason in decision.reasons:
            fired[reason.rule].append(decision.trigger.version)

    assert fired == {rule.name: expected(wallet, rule) for rule in everything.rules}


@given(DEBITS, st.integers(0, 2**32))
def test_the_order_across_wallets_and_the_cut_into_batches_do_not_matter(
    debits: list[tuple[int, int]], seed: int
) -> None:
    dice, wallets, now_ms = random.Random(seed), [Wallet(), Wallet()], 0
    for gap_ms, amount_minor in debits:
        now_ms += gap_ms
        dice.choice(wallets).sends(now_ms / 1_000, amount_minor)
    by = rules(COUNT, RATIO, cool_down="7s")
    queues = [[seen(event) for event in wallet.events] for wallet in wallets]
    known: dict[UUID, Profile] = {}
    decided: set[UUID] = set()

    while any(queues):
        batch = [queue.pop(0) for queue in dice.choices(queues, k=dice.randrange(1, 9)) if queue]
        changed, decisions = run(known, batch, by)
        known |= {profile.wallet_id: profile for profile in changed}
        decided |= {decision.decision_id for decision in decisions}

    assert decided == {each.decision_id for wallet in wallets for each in wallet.judged(by)}
    assert {w: state_of(p) for w, p in known.items()} == {w.wallet_id: state_of(w.profile(by)) for w in wallets}


def test_a_step_leaves_the_profile_before_as_it_was() -> None:
    wallet = Wallet()
    for second in range(100):
        wallet.sends(second)
    before = wallet.profile(rules(COUNT))
    kept = state_of(before)

    step(before, seen(wallet.sends(100)), rules(COUNT))

    assert state_of(before) == kept


def test_a_decision_at_an_event_from_before_the_bound_is_in_shadow_with_all_its_reasons() -> None:
    wallet = Wallet()
    for second in range(1, 6):
        wallet.sends(second)
    _, (decision, *_) = run({}, map(seen, wallet.events), rules(COUNT, SUM))
    at_us = decision.trigger.at_us

    assert unless_stale(decision, not_before_us=at_us) == decision
    stale = unless_stale(decision, not_before_us=at_us + 1)

    assert (decision.mode, stale.mode) == (DecisionMode.LIVE, DecisionMode.SHADOW)
    assert {reason.mode for reason in stale.reasons} == {DecisionMode.SHADOW}
    assert [reason.rule for reason in stale.reasons] == [reason.rule for reason in decision.reasons]
    assert (stale.decision_id, stale.outcome) == (decision.decision_id, decision.outcome)
