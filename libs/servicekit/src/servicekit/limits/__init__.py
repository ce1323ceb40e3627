"""Limits on abuse: decided in memory on the way of a request, shared between instances ten times a second.

`Limits` answers, a `Settler` shares, `address` says whose request it is, `headers` what clients are told. Where once
more would be once too often, `strict` takes in the caller's transaction.
"""

from importlib import resources

from servicekit.limits.admission import Admission, Admitted, BeyondBurst, Charge, Limited, Limits
from servicekit.limits.gcra import Rate
from servicekit.limits.rates import DEFAULT_POLICY, Limit, RatePolicy
from servicekit.limits.settling import Settler
from servicekit.migrations import MigrationSource

__all__ = [
    "DEFAULT_POLICY",
    "Admission",
    "Admitted",
    "BeyondBurst",
    "Charge",
    "Limit",
    "Limited",
    "Limits",
    "Rate",
    "RatePolicy",
    "Settler",
    "limits_source",
]


def limits_source() -> MigrationSource:
    """Return the migrations of the buckets' table, for every service with an API; after servicekit's."""
    folder = resources.files("servicekit") / "sql" / "limits"
    return MigrationSource("servicekit.limits", folder, folder / "functions")
