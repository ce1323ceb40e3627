"""Alerts on the way of events: who publishes them, and who applies them."""

from typing import Final

from contracts.ids import SHARDS
from observability.declaring import Alert, page, ticket

_RELAYS: Final = 'process=~".+-relay"'

ALERTS: Final = (
    Alert(
        name="RelayHalted",
        thresholds=(page("max by (service) (relay_halted) == 1"),),
        summary="{{ $labels.service }} is halted: its topic is ahead of its journal",
        description="The database of {{ $labels.service }} lacks events that are in its topic, so it was restored "
        "behind it: nothing is published, and the ledger takes no command, until an operator decides.",
    ),
    Alert(
        name="ShardStopped",
        thresholds=(
            page(
                "sum by (service, projection, reason) (consumer_shards_stopped) > 0\n"
                'or label_replace(sum by (service) (relay_shards_stopped) > 0, "reason", "gap_in_journal", "", "")\n'
                "or label_replace(sum by (service) (relay_shards_ended_before) > 0,"
                ' "reason", "journal_ended_before", "", "")'
            ),
        ),
        summary="{{ $labels.service }}: {{ $value }} shards are stopped ({{ $labels.reason }})",
        description="{{ $value }} shards of {{ $labels.service }} {{ $labels.projection }} are stopped for "
        "{{ $labels.reason }}: what happens to their wallets does not go on from there.",
    ),
    Alert(
        name="NobodyPublishes",
        thresholds=(
            page(
                f"sum by (service) (relay_leases_held) < {SHARDS}\nor sum by (service) (up{{{_RELAYS}}}) == 0",
                "1m",
            ),
        ),
        summary=f"{{{{ $labels.service }}}}: {{{{ $value }}}} of {SHARDS} shards are published",
        description="For a minute the relays of {{ $labels.service }} have held the leases of {{ $value }} shards out "
        f"of {SHARDS}: the events of the others stay where they are.",
    ),
    Alert(
        name="RelayLag",
        thresholds=(page("max by (service) (relay_lag_seconds) > 30"),),
        summary="{{ $labels.service }}: events are published {{ $value | humanizeDuration }} late",
        description="The oldest row of {{ $labels.service }} that is committed and not published is "
        "{{ $value | humanizeDuration }} old: nothing that follows from it has happened yet.",
    ),
    Alert(
        name="ConsumerLag",
        thresholds=(page("projection:lag_seconds:max > 60"),),
        summary="{{ $labels.service }}: the projection {{ $labels.projection }} is {{ $value | humanizeDuration }} "
        "behind",
        description="What {{ $labels.service }} knows through {{ $labels.projection }} is "
        "{{ $value | humanizeDuration }} old in its slowest shard.",
    ),
    Alert(
        name="WalletParked",
        thresholds=(
            page("max by (service, projection) (consumer_parked_subjects) > 100"),
            ticket("max by (service, projection) (consumer_parked_subjects) > 0"),
        ),
        summary="{{ $labels.service }}: {{ $value }} subjects are parked in {{ $labels.projection }}",
        description="Events of {{ $value }} subjects could not be applied by {{ $labels.projection }} of "
        "{{ $labels.service }} and wait: reads of such a wallet are answered 503 wallet_parked.",
    ),
)
