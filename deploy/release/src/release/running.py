"""The process that runs a release beside the stack, until it is told to end or the stack has ended."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import psutil

from engines.errors import EngineError
from local_stack import beside, state
from local_stack.beside import Beside, Running
from local_stack.errors import StackError
from local_stack.processes import process_units
from local_stack.supervisor import Supervised, Supervisor
from release.errors import ReleaseFailed
from release.platform import Platform
from release.sides import Side

LOOK_S: Final = 1.0


class Runner:
    """Runs *side*, and tells the stack of it."""

    def __init__(self, side: Side, platform: Platform) -> None:
        self._side = side
        self._platform = platform
        self._kinds = {
            each.name: (service.slug, each.kind.name)
            for service in side.config.services
            for each in side.config.instances(service)
        }
        self._ending = asyncio.Event()
        self._obeying = beside.Obeying(side.home)
        self._processes = Supervisor(process_units(side.config, side.found, self._log), self._changed)

    async def run(self) -> None:
        """Run until SIGTERM, or until the stack's process is gone; StackError where one does not start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ending.set)
        loop.add_signal_handler(beside.LOOK_AGAIN, self._obeying.look_again)
        self._tell()
        try:
            await self._until_ending(asyncio.create_task(self._processes.start()))
        finally:
            await self._processes.stop()
            self._poke()

    async def _until_ending(self, starting: asyncio.Task[None]) -> None:
        ending = asyncio.create_task(self._ending.wait())
        gone = asyncio.create_task(self._until_stack_is_gone())
        await asyncio.wait({starting, ending, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return
        starting.result()
        obeying = asyncio.create_task(self._obeying.obey(self._processes, self._tell))
        await asyncio.wait({ending, gone}, return_when=asyncio.FIRST_COMPLETED)
        for each in (ending, gone, obeying):
            each.cancel()

    async def _until_stack_is_gone(self) -> None:
        stack = psutil.Process(self._platform.pid)
        while stack.is_running() and stack.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110  no child of ours
            await asyncio.sleep(LOOK_S)

    def _changed(self, process: Supervised) -> None:
        print(f"{process.unit.name}: {process.state} {process.detail}".rstrip(), flush=True)
        self._tell()

    def _tell(self) -> None:
        urls = {service.name: self._side.config.service_url(service) for service in self._side.config.services}
        resting = beside.orders(self._side.home)
        told = Beside(
            release=self._side.release.name,
            services={name: url for name, url in urls.items() if url is not None},
            processes={
                name: Running(*self._kinds[name], url=each.unit.address, pid=each.pid)
                for name, each in self._processes.all.items()
                if name not in resting or each.pid is not None
            },
        )
        beside.write_running(self._side.home, told)
        self._poke()

    def _poke(self) -> None:
        if state.running_pid(self._platform.folder) == self._platform.pid:
            self._platform.look_again()

    def _log(self, name: str) -> Path:
        return self._side.home / "logs" / f"{name}.log"


def run(side: Side, platform: Platform) -> None:
    """Run *side* in this process to its end; raises ReleaseFailed where it runs already or does not come up."""
    lock = beside.lock_file(side.home)
    handle = state.take(lock)
    if handle is None:
        raise ReleaseFailed(f"{side.release.name} runs already (pid {state.holder(lock)})")
    with handle:
        try:
            asyncio.run(Runner(side, platform).run())
        except (EngineError, StackError) as error:
            raise ReleaseFailed(str(error)) from error
