"""Who may speak to whom: nobody, but for the edges named here. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from local_stack.services import SERVICES
from manifests.platform import (
    PORT_NAME,
    TO_CUSTOMERS,
    TO_SUPPLIERS,
    Document,
    job_names,
    processes,
    selector,
)

GATEWAY: Final = "gateway"
PROMETHEUS: Final = "prometheus"
COLLECTOR: Final = "collector"
COLLECTOR_PORT: Final = 4318
DATABASE_PORTS: Final = (5432,)
BROKER_PORTS: Final = (9092, 9093)
"""Of a listener in the clear, and of one with TLS."""
PRIVATE: Final = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""Where an address that a customer names must not lead, also where the judging of addresses failed."""
PRIVATE_6: Final = ("::1/128", "fc00::/7", "fe80::/10", "::ffff:0:0/96", "64:ff9b::/96")
_COMPONENT: Final = "app.kubernetes.io/component"


def edges() -> Iterator[Document]:
    """Give the policies of the platform itself: first that nobody speaks to anybody."""
    names = [process.name for _, process in processes()]
    apis = [process.name for _, process in processes() if process.is_api]
    yield _policy("nobody-to-anybody", {}, ingress=[], egress=[])
    yield _policy("all-to-names", {}, egress=[_to([_namespace("kube-system")], [53], protocols=("UDP", "TCP"))])
    yield _policy(
        "processes-to-database", _any_of([*names, *job_names()]), egress=[_to([_namespace("postgres")], DATABASE_PORTS)]
    )
    yield _policy("processes-to-broker", _any_of(names), egress=[_to([_namespace("kafka")], BROKER_PORTS)])
    yield _policy("processes-to-collector", _any_of(names), egress=[_to([_pods([COLLECTOR])], [COLLECTOR_PORT])])
    yield _policy("public-to-gateway", _any_of([GATEWAY]), ingress=[{"ports": _ports([PORT_NAME])}])
    yield _policy(
        "gateway-to-apis",
        _any_of([GATEWAY]),
        egress=[
            _to([_pods([process.name])], [process.port])
            for service in SERVICES
            for process in service.processes
            if process.is_api
        ],
    )
    yield _policy("apis-from-gateway", _any_of(apis), ingress=[_from([_pods([GATEWAY])], [PORT_NAME])])
    yield _policy("workers-to-customers", _any_of(TO_CUSTOMERS), egress=[_to_internet([(443, None), (1024, 65535)])])
    yield _policy("processes-to-suppliers", _any_of(TO_SUPPLIERS), egress=[_to_internet([(443, None)])])


def scraping() -> Iterator[Document]:
    """Give the policies that let Prometheus ask every process for its figures, and processes send traces."""
    names = [process.name for _, process in processes()]
    asked = [_to([_pods([process.name])], [process.port]) for _, process in processes()]
    yield _policy("prometheus-to-processes", _any_of([PROMETHEUS]), egress=asked)
    yield _policy("processes-from-prometheus", _any_of(names), ingress=[_from([_pods([PROMETHEUS])], [PORT_NAME])])
    yield _policy("collector-from-processes", _any_of([COLLECTOR]), ingress=[_from([_pods(names)], [COLLECTOR_PORT])])


def _policy(
    name: str,
    pods: Document,
    *,
    ingress: Sequence[Document] | None = None,
    egress: Sequence[Document] | None = None,
) -> Document:
    directions = {"Ingress": ingress, "Egress": egress}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": pods,
            "policyTypes": [direction for direction, rules in directions.items() if rules is not None],
            **{direction.lower(): list(rules) for direction, rules in directions.items() if rules},
        },
    }


def _any_of(components: Iterable[str]) -> Document:
    return {"matchExpressions": [{"key": _COMPONENT, "operator": "In", "values": list(components)}]}


def _pods(components: Sequence[str]) -> Document:
    if len(components) == 1:
        return {"podSelector": {"matchLabels": selector(components[0])}}
    return {"podSelector": _any_of(components)}


def _namespace(name: str) -> Document:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _to(peers: Sequence[Document], ports: Sequence[int], *, protocols: Sequence[str] = ("TCP",)) -> Document:
    return {"to": list(peers), "ports": _ports(ports, protocols)}


def _from(peers: Sequence[Document], ports: Sequence[int | str]) -> Document:
    return {"from": list(peers), "ports": _ports(ports)}


def _ports(ports: Sequence[int | str], protocols: Sequence[str] = ("TCP",)) -> list[Document]:
    return [{"protocol": protocol, "port": port} for port in ports for protocol in protocols]


def _to_internet(ranges: Sequence[tuple[int, int | None]]) -> Document:
    return {
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE)}},
            {"ipBlock": {"cidr": "::/0", "except": list(PRIVATE_6)}},
        ],
        "ports": [
            {"protocol": "TCP", "port": first, **({} if last is None else {"endPort": last})} for first, last in ranges
        ],
    }
