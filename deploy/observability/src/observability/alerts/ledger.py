"""Alerts on money: invariants, the journal's room, and commands that wait."""

from typing import Final

from observability.declaring import Alert, page, ticket
from observability.slo import REQUESTS_PER_S_MIN

ROOM_MIN: Final = 2 * 262_144
"""Sequence numbers of two partitions; four are made ahead, and the busiest shard fills one in half a minute."""

_REFUSED: Final = "sum by (service) (rate(wallet_refused_total[5m]))"
_ANSWERED: Final = "sum by (service) (rate(wallet_commands_total[5m]))"

ALERTS: Final = (
    Alert(
        name="InvariantBroken",
        thresholds=(page("max by (service, invariant) (invariant_violations) > 0"),),
        summary="{{ $labels.service }}: the invariant {{ $labels.invariant }} is broken {{ $value }} times",
        description="A check has found {{ $value }} violations of {{ $labels.invariant }} in {{ $labels.service }}: "
        "rows do not say what the journal says.",
    ),
    Alert(
        name="InvariantUnchecked",
        thresholds=(
            # The largest of a day: a check that does not come back after a restart is missed, too.
            ticket(
                "time() - max by (service, invariant) (max_over_time(invariant_checked_timestamp_seconds[1d]))"
                " > $seconds(15m)"
            ),
        ),
        summary="{{ $labels.service }}: {{ $labels.invariant }} was last checked {{ $value | humanizeDuration }} ago",
        description="Nobody has looked for violations of {{ $labels.invariant }} in {{ $labels.service }} for "
        "{{ $value | humanizeDuration }}.",
    ),
    Alert(
        name="JournalRoomLow",
        thresholds=(page(f"min by (service) (wallet_journal_headroom_sequences) < {ROOM_MIN}", "15s"),),
        summary="The journal's fullest shard has room for {{ $value }} events",
        description="Partitions are not made ahead any more: when the room for {{ $value }} events in the fullest "
        "shard is used, its commands wait for a partition that an insert makes, or fail.",
    ),
    Alert(
        name="CommandsRefused",
        thresholds=(
            ticket(
                f"{_REFUSED} / ({_REFUSED} + {_ANSWERED}) > 0.01\nand {_REFUSED} + {_ANSWERED} >= {REQUESTS_PER_S_MIN}",
                "2m",
            ),
        ),
        summary="{{ $value | humanizePercentage }} of commands are refused for load",
        description="Of the commands of {{ $labels.service }}, {{ $value | humanizePercentage }} are answered 503 with "
        "`Retry-After`, because the queue is full or old or their time is over.",
    ),
    Alert(
        name="QueueOld",
        thresholds=(ticket("max by (service, instance) (wallet_queue_age_seconds) > 0.5", "1m"),),
        summary="Commands wait {{ $value | humanizeDuration }} in the queue of {{ $labels.instance }}",
        description="The oldest command in the queue of {{ $labels.instance }} has waited "
        "{{ $value | humanizeDuration }}; beyond `WALLET_QUEUE_AGE_S` new ones are refused.",
    ),
)
