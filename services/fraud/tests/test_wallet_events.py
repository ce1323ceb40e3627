"""What is told of holds and of refunds, as the rules see it."""

from contracts.events import (
    CHARGEBACK_DEBITED,
    REFUND_RECEIVED,
    REFUND_SENT,
    TRANSACTION_REVERSED,
    parse_data,
)
from contracts.ids import new_id
from fraud.domain.wallet_events import Debited, Kind, Other, wallet_event
from testkit.events import Stream, wallet_in


def test_a_hold_counts_when_it_is_placed_and_increased_and_not_when_it_is_captured_or_released() -> None:
    stream, wallet, payee = Stream(), wallet_in(3), wallet_in(4)
    stream.opened(wallet)
    stream.deposited(wallet, 100)

    events = [wallet_event(each, parse_data(each.type, each.data)) for each in stream.held(wallet, payee, 10)]

    payloads = [event.payload for event in events if event is not None]
    assert payloads == [Debited(Kind.HELD, 10), Debited(Kind.HELD, 1), Other(), Other(), Other()]


def test_terms_and_details_are_nothing_that_a_rule_looks_at() -> None:
    stream, wallet = Stream(), wallet_in(3)
    stream.opened(wallet)

    events = [wallet_event(each, parse_data(each.type, each.data)) for each in stream.terms(wallet)]

    assert [None if event is None else event.payload for event in events] == [Other()] * 3


def test_what_goes_back_is_no_debit() -> None:
    stream, wallet = Stream(), wallet_in(3)
    stream.opened(wallet)
    kinds = (REFUND_SENT, REFUND_RECEIVED, TRANSACTION_REVERSED, CHARGEBACK_DEBITED)
    told = [stream.returned(kind, wallet, -1, of=new_id(), entry=(new_id(), 0)) for kind in kinds]

    events = [wallet_event(each, parse_data(each.type, each.data)) for each in told]

    assert [event.payload for event in events if event is not None] == [Other()] * len(kinds)
