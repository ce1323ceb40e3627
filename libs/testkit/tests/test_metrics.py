"""What the comparison of a page with the catalogue finds."""

import pytest

from testkit.metrics import breaches_of_the_catalogue

GOOD = """\
# HELP db_pool_acquire_failures Times that no connection was lent, by reason.
# TYPE db_pool_acquire_failures counter
db_pool_acquire_failures_total{pool="relay",reason="late"} 1.0
"""


@pytest.mark.parametrize(
    ("page", "found"),
    [
        (GOOD, None),
        (GOOD.replace("late", "bad luck"), "has reason ['bad luck']"),
        (GOOD.replace('pool="relay"', 'wallet="7"'), "has ['reason', 'wallet'] and not ['pool', 'reason']"),
        ("# TYPE wallet_queue_commands gauge\nwallet_queue_commands 1.0\n", "which is not catalogued of it"),
        ("# TYPE own gauge\n" + "".join(f'own{{n="{n}"}} 1.0\n' for n in range(3_001)), "shows 3001 series"),
    ],
)
def test_what_is_not_catalogued_is_found(page: str, found: str | None) -> None:
    breaches = breaches_of_the_catalogue({"wallet-relay": page + "# EOF\n"})

    assert found is None if not breaches else found is not None and found in breaches[0]
