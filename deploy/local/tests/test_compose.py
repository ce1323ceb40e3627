"""docker-compose.yml starts what the local stack starts. No Docker engine is needed to see that."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from contracts.topics import TOPICS
from engines import checkout, databases, monitoring
from gateway.engine import FILES, TEMPLATE
from gateway.rendering import CHECKED, PREFIX, upstream_variable
from local_stack.services import SERVICES, ProcessType, Service

COMPOSE: dict[str, Any] = yaml.safe_load((checkout.ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGES = checkout.ROOT / "deploy" / "images"
DOCKERFILE = IMAGES / "Dockerfile"
USER = "10001:10001"
LABELS = {"VERSION": "0", "REVISION": "unknown", "SOURCE": "unknown"}
ROOTS = {"kafka-agent"}  # it ends before anything starts, and has no rights of root's
CANNOT_BE_ASKED = {"traces"}  # its image has no program that could, and what needs it can wait
PIDS_MAX = 512
CPUS_MAX = 2
LINT_S_MAX = 60
KNOWN = {
    *("image", "build", "command", "entrypoint", "environment", "depends_on", "healthcheck", "ports", "volumes"),
    *("restart", "init", "stop_grace_period", "deploy", "networks", "shm_size"),
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
    assert container.get("deploy") == ({"mode": "replicated", "replicas": 2} if process.is_api else None)
    assert f":{process.port}/health/ready" in container["healthcheck"]["test"][-1]
    assert service.url_variable in container["environment"]
    assert service.owner_url_variable not in container["environment"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_every_service_is_migrated_first_and_by_the_owner(service: Service) -> None:
    name = f"{service.name.replace('_', '-')}-migrate"

    # What the release before would not survive is left for after it: `migrate --phase post`.
    assert tuple(CONTAINERS[name]["command"]) == (*service.migrate[2:], "--phase", "pre")
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


def test_prometheus_asks_containers_that_are_there() -> None:
    prometheus = CONTAINERS["prometheus"]
    sources = {target: source for source, target, _ in (each.split(":") for each in prometheus["volumes"][:2])}
    asked = yaml.safe_load((checkout.ROOT / sources["/etc/prometheus/prometheus.yml"]).read_text())
    names = {name for each in asked["scrape_configs"] for name in each["dns_sd_configs"][0]["names"]}

    assert {process.name for _, process in PROCESSES} < names
    assert names - set(CONTAINERS) == {"probe"}, "it runs in the local stack alone"
    assert [f"{sources['/etc/prometheus/rules'].removeprefix('./')}/*.yml", *asked["rule_files"]] == [
        "deploy/observability/prometheus/rules/*.yml",
        "/etc/prometheus/rules/*.yml",
    ]


def test_the_exporters_ask_what_they_ask_in_the_local_stack(tmp_path: Path) -> None:
    def flags(argv: Sequence[str]) -> set[str]:
        # In compose nobody leads the gateway elsewhere: there are no files of that.
        own = ("--web.listen-address", "--log.level", "--path.", "--extend.query-path", "--collector.textfile")
        return {each for each in argv[1:] if not each.startswith(own)}

    log = tmp_path / "log"
    server = monitoring.postgres_exporter(folder=tmp_path, port=1, log=log, dsn="", queries=tmp_path).command()
    machine = monitoring.node_exporter(folder=tmp_path, port=1, log=log, textfiles=tmp_path).command()

    assert flags(["", *CONTAINERS["postgres-exporter"]["command"]]) == flags(server.argv)
    assert flags(["", *CONTAINERS["node-exporter"]["command"]]) == flags(machine.argv)


def test_the_broker_loads_the_agent_of_the_local_stack() -> None:
    pom = (checkout.ROOT / "libs/engines/src/engines/broker/jmx-agent.xml").read_text()
    (version,) = re.findall(r"jmx_prometheus_javaagent</artifactId>\s*<version>([^<]+)", pom)

    jar = f"/agent/jmx_prometheus_javaagent-{version}.jar"
    assert CONTAINERS["kafka"]["environment"]["KAFKA_OPTS"] == f"-javaagent:{jar}=9404:/etc/kafka-jmx.yml"
    assert f"test -e {jar} ||" in CONTAINERS["kafka-agent"]["command"][0]
    assert "KAFKA_OPTS= " in CONTAINERS["kafka"]["healthcheck"]["test"][-1], "its tools would want the broker's port"


def test_figures_are_shown_to_prometheus_alone() -> None:
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    gateway = CONTAINERS["gateway"]["networks"]["default"]["ipv4_address"]

    (admitted,) = {CONTAINERS[process.name]["environment"]["PAGES_FROM"] for _, process in PROCESSES}

    (scraper,) = ip_network(admitted)
    assert scraper in ip_network(network["subnet"])
    assert scraper not in ip_network(network["ip_range"]), "no other container may be given it"
    assert scraper != ip_address(gateway)
    assert str(scraper) == CONTAINERS["prometheus"]["networks"]["default"]["ipv4_address"]


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
            if needed not in CANNOT_BE_ASKED:
                assert ("restart" in CONTAINERS[needed]) == ("healthcheck" in CONTAINERS[needed])


def test_ports_are_published_on_this_machine_alone() -> None:
    ports = [port for container in CONTAINERS.values() for port in container.get("ports", ())]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_can_do_no_more_than_it_needs(name: str) -> None:
    container = CONTAINERS[name]
    uid, gid = container["user"].split(":")

    assert name in ROOTS or int(uid) > 0 < int(gid), "a uid without a group keeps that of root"
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert 0 < container["pids_limit"] <= PIDS_MAX
    assert container["cpus"] <= CPUS_MAX
    assert re.fullmatch(r"\d+[mg]", container["mem_limit"])
    for mounted in container["tmpfs"]:
        assert re.fullmatch(r"/[\w/]+:size=\d+[mg],mode=[13]777", mounted), "memory without a bound"


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_a_service_has_an_image_of_its_own_that_says_what_it_is(service: Service) -> None:
    names = [each.name for each in service.processes]
    (build,) = {json.dumps(CONTAINERS[name]["build"]) for name in [*names, f"{service.slug}-migrate"]}

    args = json.loads(build)["args"]
    assert args.pop("SERVICE") == service.slug
    assert args == {each: f"${{{each}:-{default}}}" for each, default in LABELS.items()}
    for name in names:
        assert CONTAINERS[name]["image"] == f"wallet-platform/{service.slug}"
        assert CONTAINERS[name]["user"] == USER


def test_the_images_run_locked_versions_as_an_ordinary_user() -> None:
    dockerfile = DOCKERFILE.read_text()

    assert dockerfile.count("--require-hashes") == 3
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE) == [USER]


def test_the_dockerfile_has_no_fault_that_a_linter_knows() -> None:
    linter = Path(sys.executable).with_name("hadolint")

    told = subprocess.run([linter, DOCKERFILE], check=False, capture_output=True, text=True, timeout=LINT_S_MAX)

    assert (told.returncode, told.stdout) == (0, "")


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each.name)
def test_an_image_has_the_versions_of_the_repository_and_no_tool(service: Service) -> None:
    pinned = [
        set(re.findall(r"^([a-z0-9._-]+==[^ ;]+)", path.read_text(), re.MULTILINE))
        for path in (IMAGES / f"{service.slug}.lock", checkout.ROOT / "requirements.lock")
    ]

    assert pinned[0]
    assert pinned[0] <= pinned[1]
    assert not {each.partition("==")[0] for each in pinned[0]} & {"uv", "pip", "cyclonedx-bom"}


def test_the_images_are_built_with_the_installer_of_the_repository() -> None:
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", (checkout.ROOT / "Makefile").read_text(), re.MULTILINE)

    assert f"uv=={version}" in (IMAGES / "tools.in").read_text().splitlines()
