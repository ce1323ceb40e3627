"""How what operators run reaches the database, as its owner."""

from typing import Final

# They read, or write, a great deal while they hold the live checkpoints: longer than any transaction of a service.
SESSION: Final = {
    "idle_in_transaction_session_timeout": "10min",
    "transaction_timeout": "30min",
    "lock_timeout": "10s",
}
COMMAND_TIMEOUT_S: Final = 1_800.0
