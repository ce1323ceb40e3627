"""Every service is opened when its first cell is judged, and stays open until the last."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest
from tests.access_matrix.matrix import Matrix
from tests.access_matrix.world import opened

from testkit.databases import Server


class Matrices:
    """The matrix of each service, by its slug."""

    def __init__(self, stack: ExitStack, server: Server) -> None:
        self._stack = stack
        self._server = server
        self.opened: dict[str, Matrix] = {}

    def __call__(self, service: str) -> Matrix:
        """Return the matrix of *service*."""
        if service not in self.opened:
            self.opened[service] = Matrix(self._stack.enter_context(opened(service, self._server)))
        return self.opened[service]


_MATRICES: Final = pytest.StashKey[Matrices]()


@pytest.fixture(scope="session")
def matrices(postgres_server: Server, pytestconfig: pytest.Config) -> Iterator[Matrices]:
    with ExitStack() as stack:
        pytestconfig.stash[_MATRICES] = Matrices(stack, postgres_server)
        yield pytestconfig.stash[_MATRICES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many cells were judged."""
    found = config.stash.get(_MATRICES, None)
    if found is not None:
        counts = {service: matrix.cells for service, matrix in found.opened.items()}
        each = ", ".join(f"{service} {cells:,}" for service, cells in counts.items())
        terminalreporter.write_line(f"access matrix: {sum(counts.values()):,} cells ({each})")
