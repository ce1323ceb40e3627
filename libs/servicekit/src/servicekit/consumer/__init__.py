"""The consumer: applies a topic's events to a projection, each exactly once, whatever the broker repeats.

Progress is kept in the projection's own database, in the transaction that applies the events; the broker's offsets are
a hint. So rebalances, zombies and duplicates are harmless without trusting any of the client's callbacks.
"""

from importlib import resources

from servicekit.migrations import MigrationSource


def consumer_source() -> MigrationSource:
    """Return the migrations of the consumer's tables, for every service that has a projection; after servicekit's."""
    return MigrationSource("servicekit.consumer", resources.files("servicekit") / "sql" / "consumer")
