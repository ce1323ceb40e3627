"""Each test of a route is of both engines."""

from collections.abc import Iterator

import pytest

from servicekit.http.route import Engine
from testkit.route_bench import Bench, path_of


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture(params=list(Engine), ids=lambda engine: engine.value)
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param
    return engine


@pytest.fixture
def route(engine: Engine) -> str:
    return path_of(engine)
