"""The relay: publishes a journal to Kafka, in order per shard, at least once.

Any number of instances share the shards through leases. A cursor moves only behind acknowledgements, so that a crash
repeats records and never loses one; consumers recognize repeats by (shard, sequence).
"""

from importlib import resources

from servicekit.migrations import MigrationSource


def relay_source() -> MigrationSource:
    """Return the migrations of the relay's tables, for every service that has a journal; after servicekit's own."""
    return MigrationSource("servicekit.relay", resources.files("servicekit") / "sql" / "relay")
