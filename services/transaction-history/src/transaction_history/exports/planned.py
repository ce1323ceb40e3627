"""Rows of datasets as a source of files, and what exports want of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from contracts.events import Private
from transaction_history.domain.exports import FileForm, request_of
from transaction_history.domain.private_text import PrivateText, Sealed, stored_private
from transaction_history.domain.tables import Head
from transaction_history.exports.cells import Cells
from transaction_history.exports.datasets import dataset_of
from transaction_history.exports.plan import Plan
from transaction_history.exports.reading_postgres import ExportReader
from transaction_history.exports.source import Chunk, Order
from transaction_history.jobs.rows import Job, Snapshot
from transaction_history.jobs.working import Work


class PlannedRows:
    """The rows of *plan* for *job*."""

    def __init__(self, reader: ExportReader, private: PrivateText, job: Job, plan: Plan, form: FileForm) -> None:
        self.heads: Sequence[Head] = [column.head for column in plan.columns]
        self._reader = reader
        self._private = private
        self._tenant_id = job.tenant_id
        self._plan = plan
        self._cells = Cells(plan.columns, time_zone=form.time_zone)

    async def chunk(self, after: str | None, room: int) -> Chunk:
        """Return up to *room* rows behind *after*."""
        records, behind = await self._reader.chunk(self._tenant_id, self._plan, after, room)
        return Chunk(len(records), partial(self._cells.rows, records, await self._texts(records)), behind)

    async def _texts(self, records: Sequence[Any]) -> Sequence[Private]:
        """Return the free text of rows, where there is a column of it."""
        if not self._plan.has_private:
            return ()
        return await self._private.opened(
            [Sealed(self._tenant_id, record["owner_of_row"], stored_private(record["private"])) for record in records]
        )


@dataclass(frozen=True, slots=True)
class ExportOrders:
    """What exports want; free text is read through *private*."""

    reader: ExportReader
    private: PrivateText

    async def order(self, work: Work) -> Order:
        """Return the rows of the dataset that the job names, as its first attempt saw them."""
        job, request = work.job, request_of(work.job.request)
        seen = job.snapshot or await look(self.reader, work)
        dataset = dataset_of(request, job.owners)
        columns = [column for name in request.columns if (column := dataset.column(name)) is not None]
        plan = Plan(dataset, columns, request.filters, tenant_id=job.tenant_id, owners=job.owners, seen=seen)
        return Order(request.dataset, request, PlannedRows(self.reader, self.private, job, plan, request))


async def look(reader: ExportReader, work: Work) -> Snapshot:
    """Return what *work*'s job looks at from now on, in all of its attempts; raises LeaseGone."""
    seen = await reader.look(work.job.tenant_id)
    await work.look_at(seen)
    return seen
