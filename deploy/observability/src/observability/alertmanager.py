"""The configuration of Alertmanager: who is told of what, how often, and what is not told beside its cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from engines import checkout
from observability.declaring import Severity

FILE: Final = checkout.ROOT / "deploy" / "observability" / "alertmanager.yml"
"""Where the repository has it, with the addresses below."""
PAGE_URL: Final = "http://pager.invalid/alerts"
TICKET_URL: Final = "http://tickets.invalid/alerts"
HEARTBEAT: Final = "DeadMansSwitch"

_HEAD: Final = """\
# Made by `make docs` of what the package observability declares: not to be changed by hand. The receivers' addresses
# are placeholders: `python -m observability alertmanager --page-url URL --ticket-url URL` prints the same with others.
# A receiver takes Alertmanager's webhooks; that of pages has to page by itself when DeadMansSwitch stops coming.
"""
_SLOW: Final = ("ErrorBudgetBurn", "LatencyBudgetBurn")
_WAITING: Final = (
    *("RelayLag", "ConsumerLag", "NobodyPublishes", "WebhooksLate", "FraudDecisionsLate"),
    *("MaintenanceLate", "InvariantUnchecked"),
)
_WITHOUT_DATABASE: Final = (
    *_SLOW,
    *_WAITING,
    *("ProbeFailing", "ServiceDown", "InstanceDown", "ProcessRestarting", "PoolExhausted", "CommandsRefused"),
    *("QueueOld", "SynchronousStandbyMissing", "StandbyLag", "TwoLeaders"),
)
_BEHIND_WALLET: Final = ("ConsumerLag", "WebhooksLate", "FraudDecisionsLate")
"""What stands still everywhere when the wallet's events do not come."""
_AFTER_READ: Final = 'step=~"read|withdraw|webhook"'
"""The probe's steps that need events, and the one between them; a deposit that fails is told in any case."""
_A_RELAY: Final = 'process=~".+-relay"'
_BY_EVENTS: Final = 'slo=~"commands_visible|webhooks_attempted"'


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While *cause* fires, what *silenced* matches is not told, where the labels *equal* are the same."""

    cause: Sequence[str]
    silenced: Sequence[str]
    equal: Sequence[str] = ()


def _one_of(names: Sequence[str]) -> str:
    return f'alertname=~"{"|".join(names)}"' if len(names) > 1 else f'alertname="{names[0]}"'


_KAFKA_DOWN: Final = (_one_of(("KafkaOfflinePartitions", "KafkaNoController")),)
_NOT_PUBLISHED: Final = (_one_of(("RelayHalted", "NobodyPublishes", "RelayLag")), 'service="wallet"')

INHIBITIONS: Final = (
    # Of one alert with two thresholds the graver one is enough.
    Inhibition(
        ('severity="page"',),
        ('severity="ticket"',),
        ("alertname", "service", "process", "instance", "projection", "slo", "kind", "name"),
    ),
    # The server as a whole, then that of one service.
    Inhibition(('alertname="DatabaseDown"', 'service="postgres"'), ('alertname="DatabaseDown"', 'service!="postgres"')),
    Inhibition(('alertname="DatabaseDown"', 'service="postgres"'), (_one_of(_WITHOUT_DATABASE),)),
    Inhibition(('alertname="DatabaseDown"',), (_one_of(_WITHOUT_DATABASE),), ("service",)),
    Inhibition(('alertname="DatabaseDown"', 'service="wallet"'), (_one_of((*_BEHIND_WALLET, "ProbeFailing")),)),
    Inhibition(_KAFKA_DOWN, (_one_of((*_WAITING, "KafkaUnderReplicated")),)),
    Inhibition(_KAFKA_DOWN, ('alertname="InstanceDown"', 'service="kafka"')),
    Inhibition(_KAFKA_DOWN, ('alertname="LatencyBudgetBurn"', _BY_EVENTS)),
    Inhibition(_KAFKA_DOWN, ('alertname="ProbeFailing"', _AFTER_READ)),
    Inhibition(('alertname="ServiceDown"',), (_one_of(("InstanceDown", "ProcessRestarting")),), ("service", "process")),
    Inhibition(('alertname="ServiceDown"', _A_RELAY), ('alertname="NobodyPublishes"',), ("service",)),
    Inhibition(('alertname="RelayHalted"',), (_one_of(("NobodyPublishes", "RelayLag")),), ("service",)),
    Inhibition(
        ('alertname="RelayHalted"',),
        (_one_of(("ServiceDown", "InstanceDown", "ProcessRestarting")), _A_RELAY),
        ("service",),
    ),
    Inhibition(('alertname="NobodyPublishes"',), ('alertname="RelayLag"',), ("service",)),
    Inhibition(_NOT_PUBLISHED, (_one_of(_BEHIND_WALLET),)),
    Inhibition(_NOT_PUBLISHED, ('alertname="LatencyBudgetBurn"', _BY_EVENTS)),
    Inhibition(_NOT_PUBLISHED, ('alertname="ProbeFailing"', _AFTER_READ)),
    Inhibition(('alertname="ShardStopped"',), ('alertname="ConsumerLag"',), ("service", "projection")),
)


def render(page_url: str, ticket_url: str) -> str:
    """Return the configuration whose pages go to *page_url* and whose tickets to *ticket_url*, as webhooks.

    `DeadMansSwitch` goes to *page_url* by a receiver of its own, once a minute.
    """
    told = {
        "route": {
            "receiver": Severity.TICKET.value,
            "group_by": ["service", "alertname"],
            "group_wait": "5s",
            "group_interval": "30s",
            "repeat_interval": "24h",
            "routes": [
                {
                    "receiver": "heartbeat",
                    "matchers": [f'alertname="{HEARTBEAT}"'],
                    "group_wait": "0s",
                    "group_interval": "30s",
                    "repeat_interval": "1m",
                },
                {"receiver": Severity.PAGE.value, "matchers": ['severity="page"'], "repeat_interval": "4h"},
            ],
        },
        "receivers": [
            {"name": name, "webhook_configs": [{"url": url, "send_resolved": True}]}
            for name, url in (("page", page_url), ("ticket", ticket_url), ("heartbeat", page_url))
        ],
        "inhibit_rules": [_inhibition(each) for each in INHIBITIONS],
    }
    return _HEAD + yaml.safe_dump(told, sort_keys=False, width=1_000)


def _inhibition(each: Inhibition) -> dict[str, Any]:
    equal = {"equal": list(each.equal)} if each.equal else {}
    return {"source_matchers": list(each.cause), "target_matchers": list(each.silenced), **equal}
