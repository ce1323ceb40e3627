import socket
from collections.abc import Iterator

import pytest

from engines.ports import free_ports
from local_stack.config import Config
from local_stack.errors import StackError
from local_stack.services import SERVICES, TRANSACTION_HISTORY, WALLET

PORT_VARIABLES = (
    "POSTGRES_PORT",
    "KAFKA_PORT",
    "KAFKA_CONTROLLER_PORT",
    *(process.port_variable for service in SERVICES for process in service.processes),
)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def environment(**changed: str) -> dict[str, str]:
    ports = free_ports(len(PORT_VARIABLES))
    return {**dict(zip(PORT_VARIABLES, map(str, ports), strict=True)), **changed}


def test_free_ports_are_in_order() -> None:
    Config(environment()).check_ports()


@pytest.mark.parametrize("variable", PORT_VARIABLES)
def test_a_taken_port_is_named_with_its_variable(variable: str, taken_port: int) -> None:
    config = Config(environment(**{variable: str(taken_port)}))

    with pytest.raises(StackError, match=f"port {taken_port} is taken .* {variable} "):
        config.check_ports()


def test_a_port_claimed_twice_is_named_with_both_variables() -> None:
    given = environment()
    given["WALLET_API_PORT"] = given["KAFKA_PORT"]

    with pytest.raises(StackError, match="KAFKA_PORT and by WALLET_API_PORT"):
        Config(given).check_ports()


@pytest.mark.parametrize("value", ["0", "65536", "-1", "web", "８１０１"])  # noqa: RUF001 - digits that int() would take
def test_what_is_no_port_is_named_with_its_variable(value: str) -> None:
    with pytest.raises(StackError, match="WALLET_API_PORT"):
        list(Config({"WALLET_API_PORT": value}).instances(WALLET))


def test_the_ports_of_parts_from_outside_are_not_ours_to_check(taken_port: int) -> None:
    taken = str(taken_port)
    databases = {service.url_variable: f"postgresql://db/{service.name}" for service in SERVICES}
    outside = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", **databases}

    config = Config(environment(**outside, POSTGRES_PORT=taken, KAFKA_PORT=taken, KAFKA_CONTROLLER_PORT=taken))

    config.check_ports()
    assert not config.needs_postgres
    assert config.outside_broker == "broker:9092"


def test_one_database_of_ours_is_enough_to_need_postgresql() -> None:
    config = Config({"WALLET_DATABASE_URL": "postgresql://db/wallet"})

    assert config.needs_postgres
    assert config.outside_database(TRANSACTION_HISTORY) is None


def test_replicas_listen_on_the_ports_after_ours() -> None:
    assert list(Config({}).postgres_replica_ports) == []
    assert list(Config({"POSTGRES_PORT": "7000", "POSTGRES_REPLICAS": "2"}).postgres_replica_ports) == [7001, 7002]
    with pytest.raises(StackError, match="POSTGRES_REPLICAS is '5': it must be a whole number from 0 to 4"):
        list(Config({"POSTGRES_REPLICAS": "5"}).postgres_replica_ports)


def test_several_api_instances_listen_a_hundred_ports_apart() -> None:
    config = Config({"WALLET_API_INSTANCES": "3"})

    ports = {each.name: each.port for each in config.instances(WALLET)}

    apis = {"wallet-api": 8101, "wallet-api-2": 8201, "wallet-api-3": 8301}
    others = {"wallet-relay": 8102, "wallet-decisions": 8103, "wallet-maintenance": 8105}
    assert ports == {**others, **apis}


def test_what_points_at_the_service_itself_follows_its_port() -> None:
    assert Config({"WALLET_API_PORT": "9000"}).own_links(WALLET) == {
        "WALLET_SCHEMA_URL": "http://127.0.0.1:9000/schemas/"
    }
    assert Config({"WALLET_SCHEMA_URL": "https://schemas.example/"}).own_links(WALLET) == {}


def test_a_process_gets_its_drain_and_time_to_close() -> None:
    assert Config({"DRAIN_S": "40"}).drain_s == 60.0
    with pytest.raises(StackError, match="DRAIN_S"):
        _ = Config({"DRAIN_S": "soon"}).drain_s
