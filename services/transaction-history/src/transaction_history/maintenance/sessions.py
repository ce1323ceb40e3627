"""How what operators run reaches the database, as its owner."""

from typing import Final

# They read, or write, a great deal while they hold the live checkpoints: longer than any transaction of a service.
SESSION: Final = {
    "idle_in_transaction_session_timeout": "10min",
    "transaction_timeout": "30min",
    "lock_timeout": "10s",
}
COMMAND_TIMEOUT_S: Final = 1_800.0

# Whole tables are read in one transaction, which holds nothing up but what vacuum could remove.
READING_TIMEOUT_S: Final = 6 * 3_600.0
READING: Final = {**SESSION, "transaction_timeout": f"{READING_TIMEOUT_S:.0f}s"}
