"""Operational failures that only the committer knows."""

from servicekit.failures import OperationalError


class OutcomeUnknown(OperationalError):
    """The deadline came while the command was being committed: the same key will tell what happened."""


class InFlight(OperationalError):
    """The same key is being worked on by a request whose client went away."""
