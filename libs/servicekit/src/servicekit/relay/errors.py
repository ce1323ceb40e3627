"""Why a relay ends. Each is a name for an operator, not for a caller to handle."""

from typing import Final

EXIT_LEASES_LOST: Final = 75
EXIT_TOPIC_AHEAD: Final = 78


class RelayError(Exception):
    """The relay must not go on. *exit_code* is what its process ends with."""

    exit_code = 1


class LeasesLost(RelayError):
    """This process was paused for longer than its leases lasted, and others took its shards: start afresh."""

    exit_code = EXIT_LEASES_LOST


class TopicAhead(RelayError):
    """The topic ends with a record that the journal lacks: the database was restored behind the topic.

    Relay and committers refuse to run until an operator has decided (`servicekit.relay.halts.clear`).
    """

    exit_code = EXIT_TOPIC_AHEAD


class UnknownEventNumber(RelayError):
    """The journal holds an event type that this release does not know: update the relay before the committers."""
