"""A runner that does not end by itself is ended."""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess

import pytest
from tests.chaos.runners import end

_SPAWNING = multiprocessing.get_context("spawn")


@pytest.fixture
def sleeping() -> Iterator[SpawnProcess]:
    process = _SPAWNING.Process(target=time.sleep, args=(60.0,))
    process.start()
    yield process
    process.kill()
    process.join()


def test_a_process_that_ends_by_itself_is_waited_for() -> None:
    process = _SPAWNING.Process(target=time.sleep, args=(0.1,))
    process.start()

    end(process, within_s=30.0)

    assert process.exitcode == 0


def test_a_process_that_goes_on_beyond_its_deadline_is_killed(sleeping: SpawnProcess) -> None:
    end(sleeping, within_s=0.1)

    assert sleeping.exitcode == -signal.SIGKILL
