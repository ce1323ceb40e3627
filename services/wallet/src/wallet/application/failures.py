"""Operational failures that only the committer knows."""

from servicekit.failures import OperationalError


class OutcomeUnknown(OperationalError):  # noqa: N818 - it names a state of the world
    """The deadline came while the command was being committed: the same key will tell what happened."""


class InFlight(OperationalError):  # noqa: N818 - it names a state of the world
    """The same key is being worked on by a request whose client went away."""
