"""The page of objectives tells what is declared, and a bound of latency is a bucket's."""

import re
from typing import Final

import pytest

from engines import checkout
from observability.slo import BURN_RATES, OBJECTIVES, BurnRate, Objective
from servicekit.telemetry import LATENCY_BUCKETS_S

PAGE: Final = (checkout.ROOT / "docs" / "slo.md").read_text()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_the_page_tells_each_objective(objective: Objective) -> None:
    percent = f"{objective.target * 100:g} %"

    assert f"| `{objective.name}` | {percent} of {objective.told} | {objective.budget * 100:g} %" in PAGE


@pytest.mark.parametrize("burn", BURN_RATES, ids=lambda burn: burn.long)
def test_the_page_tells_each_burn_rate(burn: BurnRate) -> None:
    def told(duration: str) -> str:
        return f"{duration[:-1]} {'min' if duration.endswith('m') else duration[-1]}"

    severity = "page" if burn.wakes else "ticket"
    windows = f"{told(burn.short)} and {told(burn.long)}"

    assert re.search(rf"\| {burn.factor:g} \| {windows} \| {told(burn.for_)} \| \d+ % \| {severity} \|", PAGE)


def test_a_bound_of_a_request_s_time_is_a_bucket() -> None:
    bounds = {
        float(bound)
        for objective in OBJECTIVES
        for bound in re.findall(r'http_request_duration_seconds_bucket\{[^}]*le="([\d.]+)"', objective.bad)
    }

    assert bounds == {0.2}
    assert bounds <= set(LATENCY_BUCKETS_S)
