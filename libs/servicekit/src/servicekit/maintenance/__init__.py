"""Maintenance: whatever a process does by itself, beside what it is asked for.

A `Job` has a task, a connection and a deadline of its own, so that no job and no request waits for another. It works in
chunks, each a short transaction; where one instance is to do it for all, a lease in the database names the leader, and
what the leader writes is fenced by the lease's epoch.
"""

from importlib import resources

from servicekit.maintenance.invariants import InvariantMetrics
from servicekit.maintenance.jobs import Job, JobRun
from servicekit.maintenance.leadership import LeaseLost
from servicekit.maintenance.runner import Maintenance
from servicekit.migrations import MigrationSource

__all__ = ["InvariantMetrics", "Job", "JobRun", "LeaseLost", "Maintenance", "maintenance_source"]


def maintenance_source() -> MigrationSource:
    """Return the migrations of the leases' table, for every service whose jobs have leaders; after servicekit's."""
    return MigrationSource("servicekit.maintenance", resources.files("servicekit") / "sql" / "maintenance")
