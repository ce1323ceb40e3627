"""What every object must have besides its schema. Each judge returns sentences, none where all is right. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tests.kubernetes.reading import Document

from local_stack.services import SERVICES
from manifests.workloads import DRAIN_S

WITH_PODS: Final = ("Deployment", "StatefulSet", "Job")
MAY_ASK_THE_CLUSTER: Final = "prometheus"
"""It looks for pods; nothing else has a token of the cluster."""
PINNED: Final = re.compile(r"^[^:@]+(?::[0-9]+/[^:@]+)?(?::(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$")
SECRET_WORDS: Final = ("PASSWORD", "_KEY", "_KEYS", "DATABASE_URL", "DATA_SOURCE_NAME", "OPTIONS")


def pods(documents: Sequence[Document]) -> Iterator[tuple[Document, Document]]:
    """Give each object that has pods, with the pods' own part of it."""
    for document in documents:
        if document["kind"] in WITH_PODS:
            yield document, document["spec"]["template"]["spec"]


def name_of(document: Document) -> str:
    """Return what an object is called in a sentence."""
    return f"{document['kind']} {document['metadata']['name']}"


def judge(documents: Sequence[Document]) -> list[str]:
    """Return what is wrong with *documents*, by every judge."""
    judges = (
        unrestricted,
        unrestricted_inside,
        unbounded,
        unhealthy,
        unpinned,
        open_secrets,
        unready_for_nodes_that_end,
    )
    return [sentence for each in judges for sentence in each(documents)]


def unrestricted(documents: Sequence[Document]) -> Iterator[str]:
    """Give the pods that may do more than they need."""
    for document, spec in pods(documents):
        name = name_of(document)
        around = spec.get("securityContext", {})
        if not (around.get("runAsNonRoot") and around.get("runAsUser") and around.get("runAsGroup")):
            yield f"{name} may run as root"
        if around.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        may_ask = document["metadata"]["name"] == MAY_ASK_THE_CLUSTER
        if spec.get("automountServiceAccountToken") is not may_ask:
            yield f"{name} has a token of the cluster, or lacks one"
        if spec.get("enableServiceLinks") is not False:
            yield f"{name} is given variables of the cluster's Services"
        if any("hostPath" in each for each in spec.get("volumes", ())) or spec.get("hostNetwork"):
            yield f"{name} reaches into its node"


def unrestricted_inside(documents: Sequence[Document]) -> Iterator[str]:
    """Give the containers that may do more than they need."""
    for document, spec in pods(documents):
        for container in spec["containers"]:
            inside = container.get("securityContext", {})
            if inside.get("allowPrivilegeEscalation") is not False or inside.get("privileged"):
                yield f"{name_of(document)} may gain privileges"
            if inside.get("readOnlyRootFilesystem") is not True:
                yield f"{name_of(document)} may write to its root"
            if inside.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{name_of(document)} keeps capabilities"


def unbounded(documents: Sequence[Document]) -> Iterator[str]:
    """Give the containers without requests and limits, and the temporary files without a bound."""
    for document, spec in pods(documents):
        for container in spec["containers"]:
            resources = container.get("resources", {})
            for kind in ("requests", "limits"):
                if set(resources.get(kind, {})) != {"cpu", "memory"}:
                    yield f"{name_of(document)} has no {kind} of cpu and memory"
        for volume in spec.get("volumes", ()):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{name_of(document)} may fill {volume['name']}"


def unhealthy(documents: Sequence[Document]) -> Iterator[str]:
    """Give the pods that are not asked how they are, at a port that they have, or are killed before they end."""
    for document, spec in pods(documents):
        name = name_of(document)
        if document["kind"] == "Job":
            if "activeDeadlineSeconds" not in document["spec"]:
                yield f"{name} has no deadline"
            continue
        lingers_s = 0
        for container in spec["containers"]:
            ports = {each["name"] for each in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container.get(probe, {})
                asks = asked.get("httpGet") or asked.get("tcpSocket") or {}
                if asks.get("port") not in ports:
                    yield f"{name} has no {probe} at a port of its own"
            stops: dict[str, Any] = container.get("lifecycle", {}).get("preStop", {})
            lingers_s = int(stops["exec"]["command"][1]) if stops else 0
        if spec.get("terminationGracePeriodSeconds", 0) < DRAIN_S + lingers_s:
            yield f"{name} is killed before it has ended its work"


def unpinned(documents: Sequence[Document]) -> Iterator[str]:
    """Give the containers whose image may be another one tomorrow."""
    for document, spec in pods(documents):
        for container in spec["containers"]:
            if not PINNED.match(container["image"]):
                yield f"{name_of(document)} has the image {container['image']}"


def open_secrets(documents: Sequence[Document]) -> Iterator[str]:
    """Give the variables that hold a secret and are no reference to one."""
    for document, spec in pods(documents):
        for container in spec["containers"]:
            for variable in container.get("env", ()):
                is_secret = variable["name"].endswith(SECRET_WORDS)
                if is_secret and "secretKeyRef" not in variable.get("valueFrom", {}):
                    yield f"{name_of(document)} has {variable['name']} in the open"
    for document in documents:
        if document["kind"] == "ConfigMap":
            for name in document.get("data", ()):
                if name.endswith(SECRET_WORDS):
                    yield f"{name_of(document)} has {name} in the open"


def unready_for_nodes_that_end(documents: Sequence[Document]) -> Iterator[str]:
    """Give the APIs that one node takes away, or that are not scaled."""
    present = {(each["kind"], each["metadata"]["name"]): each for each in documents}
    for api in (process.name for service in SERVICES for process in service.processes if process.is_api):
        deployment = present.get(("Deployment", api))
        if deployment is None:
            continue
        budget = present.get(("PodDisruptionBudget", api), {}).get("spec", {})
        if budget.get("maxUnavailable") != 1 or budget["selector"] != deployment["spec"]["selector"]:
            yield f"{api} has no disruption budget"
        if ("HorizontalPodAutoscaler", api) not in present:
            yield f"{api} is not scaled"
        spec = deployment["spec"]["template"]["spec"]
        if len(spec.get("topologySpreadConstraints", ())) != 2:
            yield f"{api} is not spread over nodes and zones"
        if "preStop" not in spec["containers"][0].get("lifecycle", {}):
            yield f"{api} ends while it is still sent requests"
