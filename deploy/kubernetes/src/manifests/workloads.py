"""Deployments, Services, scaling and disruption of each process, and the Jobs that migrate. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from local_stack.services import ProcessType, Service
from manifests.platform import (
    KAFKA_SECRETS,
    KEYS,
    OPTIONAL_KEYS,
    OWNER,
    PORT_NAME,
    Document,
    Size,
    job_name,
    labels,
    metadata,
    selector,
    size_of,
)
from servicekit.settings import ServiceSettings

GONE_FROM_LISTS_S: Final = 5
"""How long an API goes on after it was told to end: so long the gateway and the cluster may still send it requests."""
SPARE_S: Final = 5
"""Between the end of a process's own drain and its being killed."""
DRAIN_S: Final = int(ServiceSettings.model_fields["drain_s"].default)
STARTED_WITHIN_S: Final = 60
SECOND_INSTANCES: Final = 2
INSTANCES_MAX: Final = 6
CPU_PERCENT: Final = 70
"""Of what is requested: an instance above it gets another beside it."""
SETTLED_S: Final = 300
MIGRATED_WITHIN_S: Final = 3600
KEPT_S: Final = 7 * 86_400
SETTINGS: Final = "platform"
"""The ConfigMap that every process reads; each service has one of its own besides."""
POD_SECURITY: Final[Document] = {
    "runAsNonRoot": True,
    "runAsUser": OWNER,
    "runAsGroup": OWNER,
    "fsGroup": OWNER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final[Document] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def objects_of(service: Service) -> Iterator[Document]:
    """Give every object of *service*'s processes."""
    for process in service.processes:
        yield _deployment(service, process)
        if process.is_api:
            yield _service(service, process)
            yield _scaling(service, process)
        if process.instances_variable is not None:
            yield disruption(process.name, service.slug)


def job(service: Service, phase: str) -> Document:
    """Return the Job that carries out *phase*, `pre` or `post`, of *service*'s migrations."""
    name = job_name(service, phase)
    container = {
        **_container(service, name, (*service.migrate[2:], "--phase", phase), Size()),
        "env": [_secret(f"{service.slug}-owner", service.owner_url_variable), *_secrets(service, KAFKA_SECRETS)],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(name, service.slug),
        "spec": {
            # A migration that fails is looked at by a person: the next release waits.
            "backoffLimit": 0,
            "activeDeadlineSeconds": MIGRATED_WITHIN_S,
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {
                "metadata": {"labels": labels(name, service.slug)},
                "spec": {**_pod([container], Size()), "restartPolicy": "Never"},
            },
        },
    }


def _deployment(service: Service, process: ProcessType) -> Document:
    spec = _pod([_serving(service, process)], size_of(process))
    spec["terminationGracePeriodSeconds"] = DRAIN_S + SPARE_S + (GONE_FROM_LISTS_S if process.is_api else 0)
    if process.instances_variable is not None:
        spec["topologySpreadConstraints"] = spread(process.name)
    return deployment(
        process.name,
        service.slug,
        spec,
        # How many instances of an API there are is the scaler's to say.
        replicas=None if process.is_api else SECOND_INSTANCES if process.instances_variable else 1,
    )


def deployment(name: str, service: str, spec: Document, *, replicas: int | None) -> Document:
    """Return a Deployment of pods that *spec* tells, of which none is taken away before another is ready."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, service),
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": selector(name)},
            "template": {"metadata": {"labels": labels(name, service)}, "spec": spec},
        },
    }


def _pod(containers: Sequence[Document], size: Size) -> Document:
    return {
        "serviceAccountName": SETTINGS,
        "automountServiceAccountToken": False,
        # Variables of its own making, such as WALLET_API_PORT=tcp://…, would be taken for settings.
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "containers": list(containers),
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": size.temporary}},
            {"name": "authorities", "projected": {"sources": [_authority("kafka"), _authority("database")]}},
        ],
    }


def _authority(whose: str) -> Document:
    return {
        "secret": {
            "name": f"{whose}-authority",
            # Without TLS, or with certificates that the system's authorities signed, there is none.
            "optional": True,
            "items": [{"key": "ca.crt", "path": f"{whose}.crt"}],
        }
    }


def _container(service: Service, name: str, args: Sequence[str], size: Size) -> Document:
    return {
        "name": name,
        "image": f"wallet-platform/{service.slug}:unreleased",
        "args": list(args),
        "envFrom": [{"configMapRef": {"name": each}} for each in (SETTINGS, service.slug)],
        "resources": size.resources,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  the images' own
            {"name": "authorities", "mountPath": "/etc/authorities", "readOnly": True},
        ],
    }


def _serving(service: Service, process: ProcessType) -> Document:
    addresses = (service.url_variable, service.reader_url_variable)
    container = _container(service, process.name, process.argv[2:], size_of(process))
    container["env"] = [
        {"name": process.port_variable, "value": str(process.port)},
        *_secrets(service, (*addresses, *KAFKA_SECRETS, *KEYS.get(service.name, ()))),
        *_secrets(service, OPTIONAL_KEYS.get(service.name, ()), is_optional=True),
    ]
    container["ports"] = [{"name": PORT_NAME, "containerPort": process.port}]
    live = {"httpGet": {"path": "/health/live", "port": PORT_NAME}, "timeoutSeconds": 3}
    ready = {"httpGet": {"path": "/health/ready", "port": PORT_NAME}, "timeoutSeconds": 3}
    container["startupProbe"] = {**live, "periodSeconds": 2, "failureThreshold": STARTED_WITHIN_S // 2}
    container["livenessProbe"] = {**live, "periodSeconds": 10, "failureThreshold": 6}
    container["readinessProbe"] = {**ready, "periodSeconds": 5, "failureThreshold": 2}
    if process.is_api:
        container["lifecycle"] = linger()
    return container


def linger() -> Document:
    """Return what lets those who still send requests hear that the pod ends, before it does."""
    return {"preStop": {"exec": {"command": ["sleep", str(GONE_FROM_LISTS_S)]}}}


def _secrets(service: Service, names: Sequence[str], *, is_optional: bool = False) -> list[Document]:
    return [_secret(service.slug, name, is_optional=is_optional) for name in names]


def _secret(holder: str, name: str, *, is_optional: bool = False) -> Document:
    reference: Document = {"name": holder, "key": name}
    if is_optional:
        reference["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _service(service: Service, process: ProcessType) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(process.name, service.slug),
        "spec": {
            # Without an address of its own: the gateway sees every instance, and leaves alone one that fails.
            "clusterIP": "None",
            "selector": selector(process.name),
            "ports": [{"name": PORT_NAME, "port": process.port, "targetPort": PORT_NAME, "appProtocol": "http"}],
        },
    }


def _scaling(service: Service, process: ProcessType) -> Document:
    used = {"type": "Utilization", "averageUtilization": CPU_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(process.name, service.slug),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": process.name},
            "minReplicas": SECOND_INSTANCES,
            "maxReplicas": INSTANCES_MAX,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": used}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": SETTLED_S}},
        },
    }


def disruption(name: str, service: str) -> Document:
    """Return the bound on how many pods of *name* may be taken away at once: one."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(name, service),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(name)}},
    }


def spread(name: str) -> list[Document]:
    """Return how the pods of *name* are spread: over nodes and zones, where there are several."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(name)},
            # A rolling update is spread among its own pods.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]
