"""The renderer: makes files of statements beside a worker's jobs; while one is rendered, another is read or kept."""

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from servicekit.failures import OperationalError
from servicekit.lifecycle import Shutdown
from servicekit.maintenance import Job as MaintenanceJob
from servicekit.maintenance import JobRun
from servicekit.telemetry import get_logger
from transaction_history.domain.jobs import Reason
from transaction_history.jobs.objects import Objects
from transaction_history.jobs.worker import BACKOFF_S, POLL_S, reason_of
from transaction_history.statements.files_postgres import (
    FILE_COLUMNS,
    FileQueue,
    LeaseGone,
    MadeFile,
    TakenFile,
    file_of,
)
from transaction_history.statements.making import PREFIX, StatementMaker
from transaction_history.statements.metrics import StatementMetrics

SIDE_BY_SIDE: Final = 2
"""Files under way at a time; one thread renders them."""
CLEARED_FILES: Final = 50
_EVERY_S: Final = 5.0
_CLEAR_S_MAX: Final = 60.0
_EXPIRE: Final = """
    update history_jobs.statement_file set status = 'expired'
    where status = 'succeeded' and (statement_id, issue, format, volume) in (
        select statement_id, issue, format, volume from history_jobs.statement_file
        where status = 'succeeded' and expires_at < now() order by expires_at limit $1)"""
_UNCLEARED: Final = f"""
    select {FILE_COLUMNS} from history_jobs.statement_file f
    where f.status = 'expired' and f.object is not null order by f.expires_at limit $1"""
_CLEARED: Final = """
    update history_jobs.statement_file set object = null
    where (statement_id, issue, format, volume) = ($1, $2, $3, $4) and status = 'expired'"""


class Renderer:
    """Makes files until it is told to stop; what is under way then has *drain_s*."""

    def __init__(self, queue: FileQueue, maker: StatementMaker, metrics: StatementMetrics, *, drain_s: float) -> None:
        self._queue = queue
        self._maker = maker
        self._metrics = metrics
        self._drain_s = drain_s

    async def run(self, shutdown: Shutdown) -> None:
        """Work until the end is requested; what was taken and not begun by then is given back."""
        threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=PREFIX)
        try:
            while not shutdown.is_requested:
                await shutdown.sleep(await self._make_some(shutdown, threads))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def _make_some(self, shutdown: Shutdown, threads: Executor) -> float:
        """Make the next files; return for how long to rest."""
        try:
            taken = await self._queue.take()
        except OperationalError as error:
            get_logger().warning("statement_file.take_failed", error=type(error).__name__)
            return BACKOFF_S
        room = asyncio.Semaphore(SIDE_BY_SIDE)

        async def end(one: TakenFile) -> None:
            async with room:
                await self._end(one, shutdown, threads)

        async with asyncio.TaskGroup() as files:
            for each in taken:
                files.create_task(end(each))
        return 0.0 if taken else POLL_S

    async def _end(self, taken: TakenFile, shutdown: Shutdown, threads: Executor) -> None:
        """Make a file, and write what the attempt came to."""
        try:
            outcome = "given_back" if shutdown.is_requested else await self._make(taken, shutdown, threads)
            if outcome == "given_back":
                await self._queue.give_back(taken)
        except LeaseGone:
            outcome = "lost"
        except OperationalError as error:
            get_logger().warning("statement_file.not_recorded", error=type(error).__name__)
            outcome = "not_recorded"  # its lease ends by itself
        self._metrics.file(taken.file.format, outcome)

    async def _make(self, taken: TakenFile, shutdown: Shutdown, threads: Executor) -> str:
        """Make a file; return what the attempt came to. Raises LeaseGone, and operational errors of writing that."""
        try:
            made = await self._made(taken, shutdown, threads)
        except Exception as error:  # noqa: BLE001  the boundary of an attempt: whatever failed, the worker goes on
            await self._fail(taken, error)
            return "failed"
        if made is None:
            return "given_back"
        if _differs(taken, made):
            self._metrics.difference()
            get_logger().error("statement_file.differs", **_named(taken))
            await self._queue.refuse(taken)
            return "differs"
        await self._queue.succeed(taken, made)
        self._metrics.unknown_characters(made.unknown_characters)
        return "succeeded"

    async def _fail(self, taken: TakenFile, error: Exception) -> None:
        reason = reason_of(error)
        if reason is Reason.BUG:
            get_logger().error("statement_file.attempt_crashed", exc_info=error, **_named(taken))
        else:
            get_logger().warning(
                "statement_file.attempt_failed", reason=reason.value, error=repr(error), **_named(taken)
            )
        await self._queue.fail(taken, reason)

    async def _made(self, taken: TakenFile, shutdown: Shutdown, threads: Executor) -> MadeFile | None:
        """Return the file, None where the process ends before; raises what making it raises."""
        making = asyncio.create_task(self._maker.make(taken, threads))
        ending = asyncio.create_task(shutdown.wait())
        try:
            await asyncio.wait({making, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                await asyncio.wait({making}, timeout=self._drain_s)
            return making.result() if making.done() else None
        finally:
            making.cancel()
            ending.cancel()


class FileKeeping:
    """Deletes files whose time is over; their hashes stay."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def jobs(self) -> list[MaintenanceJob]:
        """Return what is done every so often."""
        return [
            MaintenanceJob(
                name="clear_statement_files",
                interval_s=_EVERY_S,
                run=self.clear,
                chunk_rows=CLEARED_FILES,
                has_leader=True,
                deadline_s=_CLEAR_S_MAX,
            )
        ]

    async def clear(self, run: JobRun) -> int:
        """Have files not be there any longer whose time is over, and delete their objects; return how many."""
        async with run.transaction() as tx:
            await tx.connection.execute(_EXPIRE, CLEARED_FILES)
        files = [file_of(row) for row in await run.connection.fetch(_UNCLEARED, CLEARED_FILES)]
        for file in files:
            await self._objects.delete_below(file.folder)
            async with run.transaction() as tx:
                await tx.connection.execute(_CLEARED, file.statement_id, file.issue, file.format, file.volume)
        return len(files)


def _differs(taken: TakenFile, made: MadeFile) -> bool:
    """Return whether the file is another than when it was made before by the same template."""
    file = taken.file
    return file.sha256 not in (None, made.sha256) and file.template_version == made.template_version


def _named(taken: TakenFile) -> dict[str, object]:
    file = taken.file
    return {
        "statement_id": str(file.statement_id),
        "tenant_id": str(file.tenant_id),
        "issue": file.issue,
        "format": file.format.value,
        "volume": file.volume,
        "attempt": file.attempts,
    }
