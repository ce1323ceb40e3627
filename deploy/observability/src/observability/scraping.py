"""What Prometheus is told: whom to ask here, in compose and on Kubernetes, made of one declaration."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from local_stack.targets import Scraped

SCRAPE_EVERY: Final = "5s"
SCRAPE_WITHIN: Final = "4s"
SAMPLES_MAX: Final = 10_000
"""Of one target: three times what a process may have. One with more is shown as down."""
BODY_MAX: Final = "16MB"
LOOKED_UP_EVERY: Final = "5s"
RULES_IN_CONTAINERS: Final = "/etc/prometheus/rules/*.yml"
ALERTMANAGER_IN_CONTAINERS: Final = "alertmanager:9093"
PART_OF: Final = "wallet-platform"
"""The label `app.kubernetes.io/part-of` of every pod."""

_MADE: Final = "# Made by `python -m observability scrape-configs` of what the stack declares: change that.\n"

Document = dict[str, Any]


def local(*, targets: str, rules: str, alertmanager: str) -> str:
    """Return the configuration on one machine: *targets* and *rules* are patterns of files, `host:port` the rest."""
    files = {"job_name": "local", "file_sd_configs": [{"files": [targets], "refresh_interval": "1m"}]}
    return _rendered([files], rules=rules, alertmanager=alertmanager)


def compose(kinds: Sequence[Scraped]) -> str:
    """Return the configuration in compose, whose name server knows each container of a kind."""
    return _MADE + _rendered([_by_name(each) for each in kinds])


def kubernetes(kinds: Sequence[Scraped]) -> str:
    """Return the configuration on Kubernetes, whose pods are found by their labels in Prometheus' own namespace."""
    return _MADE + _rendered([_by_pod(each) for each in kinds])


def _rendered(
    scrape_configs: Sequence[Document],
    *,
    rules: str = RULES_IN_CONTAINERS,
    alertmanager: str = ALERTMANAGER_IN_CONTAINERS,
) -> str:
    configuration: Document = {
        "global": {
            "scrape_interval": SCRAPE_EVERY,
            "scrape_timeout": SCRAPE_WITHIN,
            "evaluation_interval": SCRAPE_EVERY,
        },
        "rule_files": [rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {**each, "sample_limit": SAMPLES_MAX, "body_size_limit": BODY_MAX} for each in scrape_configs
        ],
    }
    return yaml.safe_dump(configuration, sort_keys=False, width=120)


def _by_name(kind: Scraped) -> Document:
    looked_up = {"names": [kind.process], "type": "A", "port": kind.port, "refresh_interval": LOOKED_UP_EVERY}
    return {
        "job_name": kind.process,
        "dns_sd_configs": [looked_up],
        # Containers of a kind have no names of their own: the address tells which.
        "relabel_configs": [*_labels(kind), {"source_labels": ["__address__"], "target_label": "instance"}],
    }


def _by_pod(kind: Scraped) -> Document:
    labels = f"app.kubernetes.io/part-of={PART_OF},app.kubernetes.io/component={kind.process}"
    return {
        "job_name": kind.process,
        "kubernetes_sd_configs": [
            {
                "role": "pod",
                "namespaces": {"own_namespace": True},
                "selectors": [{"role": "pod", "label": labels}],
            }
        ],
        "relabel_configs": [
            {
                "source_labels": ["__meta_kubernetes_pod_container_port_number"],
                "regex": str(kind.port),
                "action": "keep",
            },
            *_labels(kind),
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "instance"},
        ],
    }


def _labels(kind: Scraped) -> list[Mapping[str, str]]:
    labels = {"job": kind.service, "service": kind.service, "process": kind.process}
    return [{"target_label": name, "replacement": value} for name, value in labels.items()]
