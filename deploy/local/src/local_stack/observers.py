"""What looks at the platform with `OBSERVE=1`, declared: one entry per part, as services.py has one per process."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverType:
    """One part, with the variable that moves its port.

    Prometheus asks it for the figures of *figures_of*, a label `service`; None where it has none to tell.
    """

    name: str
    port_variable: str
    port: int
    figures_of: str | None = None


PROMETHEUS: Final = ObserverType(name="prometheus", port_variable="PROMETHEUS_PORT", port=9490)
ALERTMANAGER: Final = ObserverType(name="alertmanager", port_variable="ALERTMANAGER_PORT", port=9493)
ALERT_SINK: Final = ObserverType(name="alert-sink", port_variable="ALERT_SINK_PORT", port=9494)
"""Where alerts go: a line each in a file of the stack."""
POSTGRES_EXPORTER: Final = ObserverType(
    name="postgres-exporter", port_variable="POSTGRES_EXPORTER_PORT", port=9487, figures_of="postgres"
)
NODE_EXPORTER: Final = ObserverType(
    name="node-exporter", port_variable="NODE_EXPORTER_PORT", port=9400, figures_of="node"
)
KAFKA_AGENT: Final = ObserverType(name="kafka", port_variable="KAFKA_AGENT_PORT", port=9404, figures_of="kafka")
"""No process of its own: it is inside the broker's."""
PROBE: Final = ObserverType(name="probe", port_variable="PROBE_PORT", port=9489, figures_of="probe")
"""A customer of our own, who uses the platform from outside."""
OBSERVERS: Final = (
    PROMETHEUS,
    ALERTMANAGER,
    ALERT_SINK,
    POSTGRES_EXPORTER,
    NODE_EXPORTER,
    KAFKA_AGENT,
    PROBE,
)
