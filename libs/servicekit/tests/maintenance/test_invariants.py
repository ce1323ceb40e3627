"""What is shown of what must always hold."""

from prometheus_client import CollectorRegistry

from servicekit.maintenance import InvariantMetrics

NAME = "entries_sum_to_zero"


def test_a_breach_is_shown_until_a_whole_round_has_found_none() -> None:
    registry = CollectorRegistry()
    metrics = InvariantMetrics(registry)

    def shown() -> float | None:
        return registry.get_sample_value("invariant_violations", {"invariant": NAME})

    metrics.checked(NAME, rows=10, violations=0)
    assert shown() == 0
    metrics.checked(NAME, rows=10, violations=2)
    metrics.round_ended(NAME)
    assert shown() == 2
    metrics.checked(NAME, rows=20, violations=0)
    assert shown() == 2, "the round before found two, and this one is not over"
    metrics.round_ended(NAME)
    assert shown() == 0
    assert registry.get_sample_value("invariant_checked_rows_total", {"invariant": NAME}) == 40
    assert registry.get_sample_value("invariant_checked_timestamp_seconds", {"invariant": NAME})
