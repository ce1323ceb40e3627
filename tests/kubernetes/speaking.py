"""Who may speak to whom, as the policies say: each edge is there because both of its ends have it. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from tests.kubernetes.judging import pods
from tests.kubernetes.reading import Document

from local_stack.services import SERVICES
from manifests.platform import TO_CUSTOMERS, TO_SUPPLIERS, job_names
from observability.scraping import PART_OF

_COMPONENT: Final = "app.kubernetes.io/component"
ANYWHERE: Final = "anywhere"
INTERNET: Final = "internet"
TRACES: Final = "traces"
"""What the collector sends to, which an installation has of its own."""
OTHER_GATEWAY: Final = "gateway-system"
OUTSIDE: Final = (ANYWHERE, INTERNET, TRACES, OTHER_GATEWAY, "postgres", "kafka")

Edge = tuple[str, str, int]
"""From a component, to a component or to what is outside, at a port."""


def expected(present: Collection[str], *, public_port: int) -> set[Edge]:
    """Return every edge that the components *present* need, of a gateway that the public reaches at *public_port*."""
    processes = [(each.name, each.port, each.is_api) for service in SERVICES for each in service.processes]
    names = [name for name, _, _ in processes]
    apis = [(name, port) for name, port, is_api in processes if is_api]
    found = {(name, "postgres", 5432) for name in (*names, *job_names(), "postgres-exporter")}
    found |= {(name, "kafka", port) for name in names for port in (9092, 9093)}
    found |= {(name, INTERNET, 443) for name in (*TO_CUSTOMERS, *TO_SUPPLIERS)}
    found |= {(name, INTERNET, 1024) for name in TO_CUSTOMERS}
    found |= {(ANYWHERE, "gateway", public_port)}
    found |= {("gateway" if "gateway" in present else OTHER_GATEWAY, name, port) for name, port in apis}
    found |= {("prometheus", name, port) for name, port, _ in processes}
    found |= {("prometheus", "alertmanager", 9093), ("prometheus", "postgres-exporter", 9487)}
    found |= {(name, "collector", 4318) for name in names}
    found |= {("prometheus", ANYWHERE, 443), ("prometheus", ANYWHERE, 6443), ("alertmanager", ANYWHERE, 443)}
    found |= {("collector", TRACES, 4318)}
    ends = {*present, *OUTSIDE}
    return {edge for edge in found if {edge[0], edge[1]} <= ends}


def components(documents: Sequence[Document]) -> frozenset[str]:
    """Return what *documents* have pods of."""
    return frozenset(document["metadata"]["name"] for document, _ in pods(documents))


def edges(documents: Sequence[Document]) -> set[Edge]:
    """Return every edge that the policies of *documents* leave, but for the look-up of names."""
    policies = [each["spec"] for each in documents if each["kind"] == "NetworkPolicy"]
    labels = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each, _ in pods(documents)}
    ports = {
        each["metadata"]["name"]: {
            port["name"]: port["containerPort"]
            for container in spec["containers"]
            for port in container.get("ports", ())
        }
        for each, spec in pods(documents)
    }
    labels[TRACES] = {"app.kubernetes.io/part-of": PART_OF, _COMPONENT: TRACES}
    ways_in = set(_ways(policies, "ingress", labels, ports))
    ways_out = set(_ways(policies, "egress", labels, ports))
    found = {
        (source, target, port)
        for source, target, port in ways_out
        if target in OUTSIDE or (target, source, port) in ways_in
    }
    found |= {(source, name, port) for name, source, port in ways_in if source in OUTSIDE}
    return found


def silent_by_default(documents: Sequence[Document]) -> bool:
    """Return whether what no edge is named for is refused, in both directions."""
    return any(
        each["spec"]["podSelector"] == {}
        and set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not each["spec"].get("ingress")
        and not each["spec"].get("egress")
        for each in documents
        if each["kind"] == "NetworkPolicy"
    )


def _ways(
    policies: Sequence[Document],
    direction: str,
    labels: Mapping[str, Mapping[str, str]],
    ports: Mapping[str, Mapping[str, int]],
) -> Iterator[tuple[str, str, int]]:
    """Give (whom the rule is about, the other end, port) of each rule."""
    peers_of = {"ingress": "from", "egress": "to"}[direction]
    for policy in policies:
        for rule in policy.get(direction) or ():
            peers = rule.get(peers_of)
            others = [ANYWHERE] if peers is None else [name for each in peers for name in _peers(each, labels)]
            for own in (name for name in labels if _selects(policy["podSelector"], labels[name])):
                for other in others:
                    listening = ports.get(own if direction == "ingress" else other, {})
                    for port in rule["ports"]:
                        number = listening.get(port["port"], port["port"])
                        if isinstance(number, int):
                            yield own, other, number


def _peers(peer: Document, labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    if "ipBlock" in peer:
        return [INTERNET]
    if "namespaceSelector" in peer:
        return [str(peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"])]
    return [name for name in labels if _selects(peer["podSelector"], labels[name])]


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ()))
