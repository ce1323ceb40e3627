"""What Kubernetes is told of each process besides what the stack declares: sizes, secrets, whom it calls. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local_stack.services import SERVICES, ProcessType, Service
from observability.scraping import PART_OF

Document = dict[str, Any]

PORT_NAME: Final = "http"
"""Of the one port that each process and the gateway listen on."""
PHASES: Final = ("pre", "post")
OWNER: Final = 10001
"""The user and the group of the images."""
KAFKA_SECRETS: Final = ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "wallet": ("WALLET_REFERENCE_KEY",),
    "transaction_history": ("TRANSACTION_HISTORY_SEARCH_KEY", "TRANSACTION_HISTORY_LINK_KEY"),
    "notifications": ("NOTIFICATIONS_SECRET_KEYS",),
}
"""Keys of a service's own, by its package: each process of it needs them, for none starts with those of development."""
OPTIONAL_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "transaction_history": ("TRANSACTION_HISTORY_OBJECTS_OPTIONS",),
}
"""Those that an installation may do without: a pod may have its rights to the bucket from elsewhere."""
TO_CUSTOMERS: Final = ("notifications-worker", "access-worker")
"""They call addresses that customers name: webhooks, and key sets of identity providers."""
TO_SUPPLIERS: Final = ("wallet-maintenance", "transaction-history-api", "transaction-history-worker")
"""They call addresses that the operator names: exchange rates, and the store of files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a container may use, and how much of it is set aside for it."""

    cpu_requested: str = "100m"
    memory_requested: str = "256Mi"
    memory: str = "512Mi"
    cpu: str = "1"
    temporary: str = "64Mi"

    @property
    def resources(self) -> Document:
        """The container's requests and limits."""
        return {
            "requests": {"cpu": self.cpu_requested, "memory": self.memory_requested},
            "limits": {"cpu": self.cpu, "memory": self.memory},
        }


API: Final = Size(cpu_requested="500m")
"""An API is scaled by the share that it uses of what is set aside."""
BESIDES: Final = Size()
SIZES: Final[Mapping[str, Size]] = {
    # Files grow in /tmp until they are stored, and a statement's child process takes 510 MiB.
    "transaction-history-worker": Size(memory_requested="1Gi", memory="2Gi", temporary="1Gi"),
}


def size_of(process: ProcessType) -> Size:
    """Return what a container of *process* may use."""
    return SIZES.get(process.name, API if process.is_api else BESIDES)


def processes() -> Iterator[tuple[Service, ProcessType]]:
    """Give every process of the platform, with its service."""
    for service in SERVICES:
        for process in service.processes:
            yield service, process


def job_name(service: Service, phase: str) -> str:
    """Return the name of the Job that migrates *service*."""
    return f"{service.slug}-migrate-{phase}"


def job_names() -> list[str]:
    """Return the names of every Job, those of both phases."""
    return [job_name(service, phase) for phase in PHASES for service in SERVICES]


def labels(component: str, service: str) -> Document:
    """Return the labels of what belongs to *component*, a process of *service* or what stands beside them."""
    return {
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/component": component,
    }


def selector(component: str) -> Document:
    """Return the labels that choose the pods of *component*."""
    return {"app.kubernetes.io/part-of": PART_OF, "app.kubernetes.io/component": component}


def metadata(name: str, service: str) -> Document:
    """Return the metadata of the object *name*."""
    return {"name": name, "labels": labels(name, service)}
