"""Looking at webhooks and decisions, with statements of our own."""

from tests.chaos.judge import observe
from tests.chaos.judge.inbox import Inbox
from tests.chaos.judge.observed import Decision, Decisions, Delivery, Webhooks
from tests.chaos.platform.platform import Connections, Platform
from tests.chaos.platform.product import WORKERS

DECISIONS_TOPIC = "fraud.decisions"

_DELIVERIES = "select endpoint_id::text, message_id::text, status, attempts from notifications.delivery"
_PROFILES = "select wallet_id::text, version from fraud.profile"
_MADE = "select decision_id::text as id, outcome, mode from fraud.decision"
_OUTBOX = "select shard, seq, event_id::text from servicekit.outbox"
_SETTLED = "select decision_id::text, disposition from wallet.settled_decision"
_CAUSED = "select causation_id::text from wallet.journal where causation_id is not null"


async def webhooks(platform: Platform, connections: Connections, inbox: Inbox) -> Webhooks | None:
    """Return what is recorded beside what came; None if the platform sends no webhooks."""
    if "notifications" not in connections:
        return None
    rows = await connections["notifications"].fetch(_DELIVERIES)
    return Webhooks(
        endpoints=inbox.endpoints,
        deliveries=[Delivery(**dict(row)) for row in rows],
        posts=inbox.posts,
        are_sent=bool(WORKERS & set(platform.processes)),
    )


async def decisions(platform: Platform, connections: Connections) -> Decisions | None:
    """Return what fraud decided and what became of it; None if it does not run."""
    if "fraud" not in connections:
        return None
    fraud, wallet = connections["fraud"], connections["wallet"]
    raw = await observe.raw_records(platform.kafka.bootstrap_servers, DECISIONS_TOPIC)
    return Decisions(
        profiles={row["wallet_id"]: row["version"] for row in await fraud.fetch(_PROFILES)},
        made=[Decision(**dict(row)) for row in await fraud.fetch(_MADE)],
        outbox={(row["shard"], row["seq"]): row["event_id"] for row in await fraud.fetch(_OUTBOX)},
        records=observe.parse(raw),
        settled=[(row["decision_id"], row["disposition"]) for row in await wallet.fetch(_SETTLED)],
        caused=[row["causation_id"] for row in await wallet.fetch(_CAUSED)],
    )
