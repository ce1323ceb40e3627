"""The gateway's pods, and the routes of an implementation of the Gateway API that stands in their place. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.rendering import CHECKED, upstream_variable
from gateway.routes import Route
from local_stack.services import SERVICES, Service
from manifests.edges import GATEWAY
from manifests.platform import PORT_NAME, Document, Size, metadata, selector
from manifests.workloads import (
    CONTAINER_SECURITY,
    GONE_FROM_LISTS_S,
    POD_SECURITY,
    SETTINGS,
    SPARE_S,
    deployment,
    disruption,
    linger,
    spread,
)

IMAGE: Final = "nginx:1.29"
NGINX: Final = 101
"""The user and the group of that image."""
LISTENS: Final = 8080
DRAINED_WITHIN_S: Final = 30
"""`worker_shutdown_timeout` of the template."""
FILES: Final = "gateway-nginx"
DOMAIN: Final = "svc.cluster.local"
_FOLDER: Final = "/tmp"  # noqa: S108  the container's own
_TEMPLATES: Final = "/etc/nginx/templates"
_ROUTE_API: Final = "gateway.networking.k8s.io/v1"


def gateway_objects() -> Iterator[Document]:
    """Give the objects of the gateway."""
    size = Size(temporary="256Mi")
    spec: Document = {
        "serviceAccountName": SETTINGS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {**POD_SECURITY, "runAsUser": NGINX, "runAsGroup": NGINX, "fsGroup": NGINX},
        "containers": [_container(size)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": size.temporary}},
            {"name": "files", "configMap": {"name": FILES}},
        ],
        "terminationGracePeriodSeconds": GONE_FROM_LISTS_S + DRAINED_WITHIN_S + SPARE_S,
        "topologySpreadConstraints": spread(GATEWAY),
    }
    yield deployment(GATEWAY, GATEWAY, spec, replicas=2)
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(GATEWAY, GATEWAY),
        "spec": {
            "selector": selector(GATEWAY),
            "ports": [{"name": PORT_NAME, "port": 80, "targetPort": PORT_NAME}],
        },
    }
    yield disruption(GATEWAY, GATEWAY)


def _container(size: Size) -> Document:
    probe = {"tcpSocket": {"port": PORT_NAME}}
    return {
        "name": GATEWAY,
        "image": IMAGE,
        # The image's own entry point fills in the template; SIGQUIT, its stop signal, lets requests end.
        "args": ["nginx", "-c", f"{_FOLDER}/nginx.conf", "-g", "daemon off;"],
        "env": [
            {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            *({"name": name, "value": value} for name, value in gateway_variables().items()),
        ],
        "ports": [{"name": PORT_NAME, "containerPort": LISTENS}],
        "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 30},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**probe, "periodSeconds": 5, "failureThreshold": 2},
        "lifecycle": linger(),
        "resources": size.resources,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "tmp", "mountPath": _FOLDER},
            {"name": "files", "mountPath": _TEMPLATES, "readOnly": True},
        ],
    }


def gateway_variables() -> Mapping[str, str]:
    """Return the variables of the template; Kubernetes puts the pod's namespace in for `$(NAMESPACE)`."""
    return {
        "NGINX_ENVSUBST_OUTPUT_DIR": _FOLDER,
        "NGINX_ENVSUBST_FILTER": "^GATEWAY_",
        "GATEWAY_WORKERS": "auto",
        "GATEWAY_FOLDER": _FOLDER,
        "GATEWAY_FILES": _TEMPLATES,
        "GATEWAY_LOG": "/dev/stdout",
        "GATEWAY_LISTEN": str(LISTENS),
        "GATEWAY_TLS": "",
        "GATEWAY_RESOLVER": f"resolver kube-dns.kube-system.{DOMAIN} valid=2s;",
        "GATEWAY_TRUSTED": "",
        "GATEWAY_SOURCE": "",
        "GATEWAY_REQUESTS_PER_ADDRESS": "1000",
        **{upstream_variable(service.slug): _server(service) for service in SERVICES},
    }


def _server(service: Service) -> str:
    (api,) = (process for process in service.processes if process.is_api)
    return f"server {api.name}.$(NAMESPACE).{DOMAIN}:{api.port} resolve {CHECKED};"


def http_routes(routes: Sequence[Route]) -> Iterator[Document]:
    """Give a Service with an address and an HTTPRoute for each API, by the paths that *routes* say are its own."""
    for service in SERVICES:
        (api,) = (process for process in service.processes if process.is_api)
        name = f"{api.name}-route"
        backends = [{"name": name, "port": api.port}]
        paths = prefixes(routes, service.slug)
        # Problem codes and schemas are one registry, which every service answers from.
        if service is SERVICES[0]:
            paths = [*paths, "/problems", "/schemas"]
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(name, service.slug),
            "spec": {
                "selector": selector(api.name),
                "ports": [{"name": PORT_NAME, "port": api.port, "targetPort": PORT_NAME, "appProtocol": "http"}],
            },
        }
        yield {
            "apiVersion": _ROUTE_API,
            "kind": "HTTPRoute",
            "metadata": metadata(name, service.slug),
            "spec": {
                "parentRefs": [{"name": "public"}],
                "rules": [
                    {"matches": [_beginning(path) for path in paths], "backendRefs": backends},
                    *_references(service, backends),
                ],
            },
        }


def _beginning(path: str) -> Document:
    return {"path": {"type": "PathPrefix", "value": path}}


def _exactly(path: str) -> Document:
    return {"path": {"type": "Exact", "value": path}}


def _references(service: Service, backends: Sequence[Document]) -> Iterator[Document]:
    # Each page by itself: below a beginning of both, `/metrics` would be reached as well.
    pages = f"/reference/{service.slug}"
    for match, path in (
        (_beginning(f"{pages}/docs"), {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/docs"}),
        (_exactly(f"{pages}/openapi.json"), {"type": "ReplaceFullPath", "replaceFullPath": "/openapi.json"}),
    ):
        rewrite = {"type": "URLRewrite", "urlRewrite": {"path": path}}
        yield {"matches": [match], "filters": [rewrite], "backendRefs": list(backends)}


def prefixes(routes: Sequence[Route], service: str) -> list[str]:
    """Return the shortest beginnings of paths, in whole segments, below which every route is of *service*."""
    own = {_fixed(route) for route in routes if route.service == service}
    others = {_fixed(route) for route in routes if route.service != service}
    found = set()
    for path in own:
        for length in range(2, len(path) + 1):
            beginning = path[:length]
            if not any(other[:length] == beginning for other in others):
                found.add("/" + "/".join(beginning))
                break
    return sorted(found)


def _fixed(route: Route) -> tuple[str, ...]:
    segments = route.template.strip("/").split("/")
    end = next((index for index, segment in enumerate(segments) if segment.startswith("{")), len(segments))
    return tuple(segments[:end])
