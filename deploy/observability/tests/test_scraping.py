"""Whom Prometheus asks here, in compose and on Kubernetes: three files of one declaration."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from engines import checkout
from engines.debian import find_program
from local_stack.config import Config
from local_stack.services import SERVICES
from local_stack.targets import LABELS, scraped, targets
from observability import scraping

FOLDER = checkout.ROOT / "deploy" / "observability" / "prometheus"
FILES = {"compose.yml": scraping.compose, "kubernetes.yml": scraping.kubernetes}


@cache
def read(name: str) -> dict[str, dict[str, Any]]:
    """Return the scrape configurations of a committed file, by the kind of process."""
    document = yaml.safe_load((FOLDER / name).read_text())
    return {each["job_name"]: each for each in document["scrape_configs"]}


def labels_of(config: dict[str, Any]) -> dict[str, str]:
    """Return the labels that every series gets; `instance` is looked up."""
    return {
        each["target_label"]: each.get("replacement", "")
        for each in config["relabel_configs"]
        if "target_label" in each
    }


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_those_that_are_made(name: str) -> None:
    assert (FOLDER / name).read_text() == FILES[name](list(scraped())), (
        f"{name} is not what the stack declares: run `python -m observability scrape-configs`"
    )


@pytest.mark.parametrize("name", FILES)
def test_every_process_is_asked_everywhere_under_the_same_labels(name: str) -> None:
    here = {each.process: each for each in targets(Config({"OBSERVE": "1"}))}

    there = read(name)

    assert set(there) == set(here)
    for process, target in here.items():
        labels = {"job": target.service, "service": target.service, "process": process, "instance": ""}
        assert labels_of(there[process]) == labels
        assert tuple(labels) == LABELS


def test_compose_asks_the_ports_and_names_of_its_containers() -> None:
    containers = yaml.safe_load((checkout.ROOT / "docker-compose.yml").read_text())["services"]

    for process in (process for service in SERVICES for process in service.processes):
        (looked_up,) = read("compose.yml")[process.name]["dns_sd_configs"]
        assert looked_up["names"] == [process.name]
        assert containers[process.name]["environment"][process.port_variable] == looked_up["port"]


def test_kubernetes_asks_the_port_of_each_pod_once() -> None:
    for kind in scraped():
        config = read("kubernetes.yml")[kind.process]
        (kept,) = [each for each in config["relabel_configs"] if each.get("action") == "keep"]
        assert kept["regex"] == str(kind.port)


@pytest.mark.parametrize("name", FILES)
def test_prometheus_takes_them(name: str, tmp_path: Path) -> None:
    # Debian's Prometheus is built without the lookup of pods: the rest of that file is looked at.
    document = yaml.safe_load((FOLDER / name).read_text())
    for each in document["scrape_configs"]:
        each.pop("kubernetes_sd_configs", None)
    file = tmp_path / name
    file.write_text(yaml.safe_dump(document))

    checked = subprocess.run(
        [find_program("promtool", "prometheus"), "check", "config", "--syntax-only", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert checked.returncode == 0, checked.stderr
