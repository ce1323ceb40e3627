"""Where alerts go: Alertmanager's configuration."""

from typing import Any

import yaml


def render(page_url: str, ticket_url: str) -> str:
    """Return Alertmanager's configuration, whose pages and tickets go to these addresses as webhooks."""
    receivers = [
        {"name": name, "webhook_configs": [{"url": url, "send_resolved": True}]}
        for name, url in (("page", page_url), ("ticket", ticket_url))
    ]
    configuration: dict[str, Any] = {
        "route": {
            "receiver": "ticket",
            "group_by": ["service", "alertname"],
            "group_wait": "1s",
            "group_interval": "5s",
            "repeat_interval": "4h",
            "routes": [{"matchers": ['severity="page"'], "receiver": "page"}],
        },
        "receivers": receivers,
    }
    return yaml.safe_dump(configuration, sort_keys=False)
