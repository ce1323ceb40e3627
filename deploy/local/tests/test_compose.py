"""docker-compose.yml starts what the local stack starts. No Docker engine is needed to see that."""

import json
import re
from importlib import resources
from ipaddress import ip_address, ip_network
from typing import Any

import jsonschema
import pytest
import yaml

from contracts.topics import TOPICS
from engines import checkout, databases
from gateway.engine import FILES, TEMPLATE
from gateway.rendering import CHECKED, PREFIX, upstream_variable
from local_stack.services import SERVICES, ProcessType, Service

COMPOSE: dict[str, Any] = yaml.safe_load((checkout.ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
KNOWN = {
    *("image", "build", "command", "entrypoint", "environment", "depends_on", "healthcheck", "ports", "volumes"),
    *("restart", "init", "stop_grace_period", "deploy", "networks"),
    *("user", "read_only", "tmpfs", "cap_drop", "security_opt", "mem_limit", "cpus", "pids_limit"),
}
PROCESSES = [(service, process) for service in SERVICES for process in service.processes]


@pytest.mark.parametrize(("service", "process"), PROCESSES, ids=lambda each: each.name)
def test_every_process_runs_in_a_container_that_is_watched(service: Service, process: ProcessType) -> None:
    container = CONTAINERS[process.name]

    assert tuple(container["command"]) == process.argv[2:]
    assert container["environment"][process.port_variable] == process.port
    published = [f"127.0.0.1:${{{process.port_variable}:-{process.port}}}:{process.port}"]
    assert container.get("ports", []) == ([] if process.is_api else published)
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


def test_the_gateway_is_given_every_variable_of_its_configuration_and_leads_to_every_api() -> None:
    gateway = CONTAINERS["gateway"]
    variables = {name: value for name, value in gateway["environment"].items() if name.startswith(PREFIX)}
    (mounted,) = gateway["volumes"]

    assert set(re.findall(r"\$\{(GATEWAY_\w+)\}", TEMPLATE.read_text())) == set(variables)
    assert mounted == f"./{FILES.relative_to(checkout.ROOT)}:{variables['GATEWAY_FILES']}:ro"
    for service, process in PROCESSES:
        if process.is_api:
            server = variables[upstream_variable(service.name.replace("_", "-"))]
            assert server == f"server {process.name}:{process.port} resolve {CHECKED};"


def test_the_gateway_is_the_one_public_address_and_alone_is_believed() -> None:
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    gateway = CONTAINERS["gateway"]["networks"]["default"]["ipv4_address"]

    assert CONTAINERS["gateway"]["ports"] == ["127.0.0.1:${GATEWAY_PORT:-8080}:8080"]
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
