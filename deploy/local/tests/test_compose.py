"""docker-compose.yml starts what the local stack starts. No Docker engine is needed to see that."""

import json
import re
from importlib import resources
from ipaddress import ip_address, ip_network
from typing import Any

import crossplane
import jsonschema
import pytest
import yaml

from contracts.topics import TOPICS
from engines import checkout, databases
from local_stack.services import SERVICES, ProcessType, Service

COMPOSE: dict[str, Any] = yaml.safe_load((checkout.ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
KNOWN = {
    *("image", "build", "command", "entrypoint", "environment", "depends_on", "healthcheck", "ports", "volumes"),
    *("restart", "init", "stop_grace_period", "deploy", "networks"),
}
INSIDE = ("/metrics", "/health/deep", "/metrics/", "/health/deep/")
OUTSIDE = ("/health/ready", "/health/live", "/v1/wallets", "/docs", "/problems/metrics", "/metricsx")
PROCESSES = [(service, process) for service in SERVICES for process in service.processes]


@pytest.mark.parametrize(("service", "process"), PROCESSES, ids=lambda each: each.name)
def test_every_process_runs_in_a_container_that_is_watched(service: Service, process: ProcessType) -> None:
    container = CONTAINERS[process.name]

    assert tuple(container["command"]) == process.argv[2:]
    assert container["environment"][process.port_variable] == process.port
    published = CONTAINERS["gateway"] if process.is_api else container
    assert f"127.0.0.1:${{{process.port_variable}:-{process.port}}}:{process.port}" in published["ports"]
    assert container.get("deploy") == ({"replicas": 2} if process.is_api else None)
    assert f":{process.port}/health/ready" in container["healthcheck"]["test"][-1]
    assert service.url_variable in container["environment"]
    assert service.owner_url_variable not in container["environment"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_every_service_is_migrated_first_and_by_the_owner(service: Service) -> None:
    name = f"{service.name.replace('_', '-')}-migrate"

    assert tuple(CONTAINERS[name]["command"]) == service.migrate[2:]
    assert f"{service.name}_owner:" in CONTAINERS[name]["environment"][service.owner_url_variable]
    for process in service.processes:
        needs = CONTAINERS[process.name]["depends_on"]
        assert needs[name] == needs["topics"] == {"condition": "service_completed_successfully"}


def test_the_file_fits_the_schema_of_compose() -> None:
    schema_file = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"

    jsonschema.validate(COMPOSE, json.loads(schema_file.read_text()))


def test_the_gateway_knows_every_directive_and_leads_to_every_api() -> None:
    parsed = crossplane.parse(str(checkout.ROOT / "deploy" / "images" / "nginx.conf"), strict=True)
    (http,) = (each for each in parsed["config"][0]["parsed"] if each["directive"] == "http")
    upstreams = {
        each["args"][0]: [inner["args"] for inner in each["block"] if inner["directive"] == "server"]
        for each in http["block"]
        if each["directive"] == "upstream"
    }
    led = {
        _only(server, "listen"): _only(location, "proxy_pass")
        for server in _blocks(http, "server")
        for location in _blocks(server, "location")
        if location["args"] == ["/"]
    }

    assert parsed["status"] == "ok", parsed["errors"]
    for service, process in PROCESSES:
        if process.is_api:
            assert led[str(process.port)] == f"http://{service.name}"
            assert upstreams[service.name] == [[f"{process.name}:{process.port}", "resolve"]]


def test_the_gateway_keeps_inside_what_operators_alone_may_see() -> None:
    parsed = crossplane.parse(str(checkout.ROOT / "deploy" / "images" / "nginx.conf"), strict=True)
    (http,) = (each for each in parsed["config"][0]["parsed"] if each["directive"] == "http")

    for server in _blocks(http, "server"):
        refusing = [each for each in _blocks(server, "location") if _blocks(each, "return")]
        assert [_only(each, "return") for each in refusing] == ["404"]
        (kind, pattern) = refusing[0]["args"]
        assert kind == "~", "a pattern is looked at before the prefix that leads on, on the path as it is decoded"
        kept = re.compile(pattern.replace(r"\z", r"\Z"))
        assert [path for path in INSIDE if kept.match(path) is None] == []
        assert [path for path in OUTSIDE if kept.match(path) is not None] == []


def test_the_gateway_tells_whose_address_a_request_is_from_and_is_alone_believed() -> None:
    parsed = crossplane.parse(str(checkout.ROOT / "deploy" / "images" / "nginx.conf"), strict=True)
    (http,) = (each for each in parsed["config"][0]["parsed"] if each["directive"] == "http")
    told = dict(each["args"] for each in _blocks(http, "proxy_set_header"))
    inside = list(_blocks(http, "server"))
    inside += [location for server in inside for location in _blocks(server, "location")]
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    gateway = CONTAINERS["gateway"]["networks"]["default"]["ipv4_address"]

    assert told["X-Forwarded-For"] == "$proxy_add_x_forwarded_for", "appended: what the client wrote stays left of it"
    assert [each for each in inside if _blocks(each, "proxy_set_header")] == [], "one there would replace all of these"
    assert ip_address(gateway) in ip_network(network["subnet"])
    assert ip_address(gateway) not in ip_network(network["ip_range"]), "no other container may be given it"
    for service, process in PROCESSES:
        trusted = CONTAINERS[process.name]["environment"]["TRUSTED_PROXIES"]
        assert trusted == gateway, service.name


def test_figures_are_shown_to_prometheus_alone() -> None:
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    gateway = CONTAINERS["gateway"]["networks"]["default"]["ipv4_address"]

    (admitted,) = {CONTAINERS[process.name]["environment"]["PAGES_FROM"] for _, process in PROCESSES}

    (scraper,) = ip_network(admitted)
    assert scraper in ip_network(network["subnet"])
    assert scraper not in ip_network(network["ip_range"]), "no other container may be given it"
    assert scraper != ip_address(gateway)


def _blocks(parent: dict[str, Any], directive: str) -> list[dict[str, Any]]:
    return [each for each in parent["block"] if each["directive"] == directive]


def _only(parent: dict[str, Any], path: str) -> str:
    """Return the argument of the one directive at *path* below *parent*."""
    *outer, last = path.split("/")
    for directive in outer:
        (parent,) = _blocks(parent, directive)
    (found,) = _blocks(parent, last)
    argument: str = found["args"][0]
    return argument


def test_every_database_is_made() -> None:
    assert CONTAINERS["postgres"]["environment"]["SERVICES"].split() == [each.name for each in SERVICES]


def test_who_looks_at_the_databases_has_the_same_roles_as_in_the_local_stack() -> None:
    script = (checkout.ROOT / "deploy" / "images" / "postgres-init.sh").read_text().lower()
    entered = [each.name for each in SERVICES if databases.DASHBOARDS in each.outsiders]

    assert "OBSERVER_PASSWORD" in CONTAINERS["postgres"]["environment"]
    made = re.findall(r"^create role (\w+) login password :'password';$", script, re.MULTILINE)
    assert made == [databases.OBSERVER, databases.DASHBOARDS]
    assert f"grant pg_monitor to {databases.OBSERVER};" in script
    assert script.index("create role observer") < script.index("create database"), "grants need the role"
    assert [f"grant connect on database {each} to {databases.DASHBOARDS};" in script for each in entered] == [True]


def test_every_topic_is_made_with_its_partitions() -> None:
    environment = CONTAINERS["topics"]["environment"]

    for variable, is_compacted in (("TOPICS", False), ("COMPACTED", True)):
        wanted = [each for each in TOPICS if each.is_compacted is is_compacted]
        assert environment[variable].split() == [f"{each.name}:{each.partitions}" for each in wanted]
        told = " ".join(f"--config {name}={value}" for name, value in wanted[0].configuration.items())
        assert f'make "$$topic" {told}' in CONTAINERS["topics"]["command"][0]


def test_what_a_container_needs_is_another_container_that_can_tell() -> None:
    for container in CONTAINERS.values():
        assert set(container) <= KNOWN
        for needed, condition in container.get("depends_on", {}).items():
            assert ("healthcheck" in CONTAINERS[needed]) == (condition == {"condition": "service_healthy"})


def test_ports_are_published_on_this_machine_alone() -> None:
    ports = [port for container in CONTAINERS.values() for port in container.get("ports", ())]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_images_run_locked_versions_as_an_ordinary_user() -> None:
    dockerfile = (checkout.ROOT / "deploy" / "images" / "Dockerfile").read_text()

    assert "--require-hashes requirements.lock" in dockerfile
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE) == ["10001"]


def test_the_images_share_the_versions_of_the_repository() -> None:
    pinned = [
        set(re.findall(r"^([a-z0-9._-]+==[^ ;]+)", (checkout.ROOT / path).read_text(), re.MULTILINE))
        for path in ("deploy/images/requirements.lock", "requirements.lock")
    ]

    assert pinned[0]
    assert pinned[0] <= pinned[1]
