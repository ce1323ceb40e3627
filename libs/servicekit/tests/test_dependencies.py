"""What a process needs: asked side by side within a bound, and shown as it was found last."""

import asyncio
from contextlib import aclosing

import pytest
from prometheus_client import CollectorRegistry

from engines.ports import free_ports
from servicekit import dependencies
from servicekit.broker_probe import BrokerProbe
from servicekit.brokers import Brokers
from servicekit.dependencies import Dependencies, Dependency
from testkit.waiting import eventually


class Database:
    """Answers as it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def ask(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


async def hang() -> None:
    await asyncio.Event().wait()


def up(registry: CollectorRegistry, dependency: Dependency) -> float | None:
    return registry.get_sample_value("dependency_up", {"dependency": dependency.value})


async def test_one_that_hangs_is_down_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "ANSWER_S", 0.01)
    registry = CollectorRegistry()
    needed = Dependencies(registry)
    async with needed.watching({Dependency.DATABASE: Database().ask, Dependency.BROKER: hang}):
        assert up(registry, Dependency.BROKER) is None, "it was not asked yet"
        checks = await needed.check()

    assert {name: check.ok for name, check in checks.items()} == {"database": True, "broker": False}
    assert (up(registry, Dependency.DATABASE), up(registry, Dependency.BROKER)) == (1, 0)


async def test_who_looks_meanwhile_is_told_the_same() -> None:
    database = Database()
    needed = Dependencies(CollectorRegistry())
    async with needed.watching({Dependency.DATABASE: database.ask}):
        one, other = await asyncio.gather(needed.check(), needed.check())

    assert one == other
    assert database.asked == 1


async def test_they_are_asked_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "ASKED_EVERY_S", 0.01)
    monkeypatch.setattr(dependencies, "_FIRST_S", 0.0)
    registry, database = CollectorRegistry(), Database()

    async def shows(value: float) -> bool:
        return up(registry, Dependency.DATABASE) == value

    async with Dependencies(registry).watching({Dependency.DATABASE: database.ask}):
        await eventually(lambda: shows(1))
        database.error = ConnectionError("gone")
        await eventually(lambda: shows(0))
        database.error = None
        await eventually(lambda: shows(1))
    asked = database.asked
    await asyncio.sleep(0)
    assert database.asked == asked


async def test_a_broker_that_was_never_there_is_down() -> None:
    needed = Dependencies(CollectorRegistry())
    probing = aclosing(BrokerProbe(Brokers(f"127.0.0.1:{free_ports(1)[0]}"), "test"))
    async with probing as probe, needed.watching({Dependency.BROKER: probe.ask}):
        check = (await needed.check())["broker"]

    assert (check.ok, check.detail) == (False, "no answer: KafkaConnectionError")
