"""Whom Prometheus asks, made of what a stack is made of."""

import json
from pathlib import Path

import pytest

from local_stack.config import Config
from local_stack.errors import StackError
from local_stack.observers import OBSERVERS
from local_stack.services import SERVICES
from local_stack.targets import LABELS, Target, scraped, targets, write_targets

PROCESSES = {process.name for service in SERVICES for process in service.processes}
LOOKED_AT = {"kafka", "node-exporter", "postgres-exporter", "probe"}


def found(**environment: str) -> dict[str, Target]:
    return {each.instance: each for each in targets(Config(environment))}


def test_every_process_is_asked_and_what_shows_the_engines_where_it_runs() -> None:
    assert set(found()) == PROCESSES
    assert set(found(OBSERVE="1")) == PROCESSES | LOOKED_AT
    assert set(found(OBSERVE="1", PROBE="0")) == PROCESSES | LOOKED_AT - {"probe"}
    assert found(OBSERVE="1", PROBE_PORT="9000")["probe"] == Target("probe", "probe", "probe", 9000)


def test_with_all_that_there_is_each_api_has_two_processes_of_one_kind() -> None:
    full = found(FULL="1")

    assert full["wallet-api-2"] == Target("wallet", "wallet-api", "wallet-api-2", 8201)
    assert len(full) == len(PROCESSES | LOOKED_AT) + len(SERVICES)
    assert "wallet-api-2" not in found(FULL="1", WALLET_API_INSTANCES="1")


def test_the_engines_of_others_are_theirs_to_look_at() -> None:
    databases = {service.url_variable: f"postgresql://db/{service.name}" for service in SERVICES}

    outside = found(OBSERVE="1", KAFKA_BOOTSTRAP_SERVERS="broker:9092", **databases)

    assert set(outside) == PROCESSES | {"node-exporter", "probe"}


def test_a_kind_is_declared_once_and_none_listens_where_another_does() -> None:
    kinds = list(scraped())

    assert {each.process for each in kinds} == PROCESSES | LOOKED_AT
    assert len({each.port for each in kinds}) == len(kinds)
    assert {each.port for each in OBSERVERS}.isdisjoint({p.port for s in SERVICES for p in s.processes})


def test_what_is_written_is_what_prometheus_reads_with_all_labels(tmp_path: Path) -> None:
    wanted = list(targets(Config({"OBSERVE": "1", "TRANSACTION_HISTORY_API_INSTANCES": "2"})))

    write_targets(tmp_path / "targets", wanted)

    (file,) = (tmp_path / "targets").iterdir()
    groups = json.loads(file.read_text())
    assert file.name == "stack.json"
    assert all(tuple(group["labels"]) == LABELS for group in groups)
    assert {
        "targets": ["127.0.0.1:8211"],
        "labels": {
            "job": "transaction-history",
            "service": "transaction-history",
            "process": "transaction-history-api",
            "instance": "transaction-history-api-2",
        },
    } in groups


@pytest.mark.parametrize("variable", ["OBSERVE", "FULL"])
def test_ports_of_what_looks_at_it_are_claimed_only_where_it_does(variable: str) -> None:
    own = {each.port_variable for each in OBSERVERS}

    assert own <= {name for name, _ in Config({variable: "1"})._claims()}
    assert own.isdisjoint({name for name, _ in Config({})._claims()})


@pytest.mark.parametrize("variable", ["OBSERVE", "FULL"])
def test_what_is_neither_yes_nor_no_is_named_with_its_variable(variable: str) -> None:
    with pytest.raises(StackError, match=f"{variable} is 'yes': it must be a whole number from 0 to 1"):
        _ = Config({variable: "yes"}).is_observed
