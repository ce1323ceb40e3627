"""What reports want: their rows, once all is there that belongs to them."""

from dataclasses import dataclass

from servicekit.tenant_pool import TenantPool
from transaction_history.domain.exports import ExportFilters
from transaction_history.domain.jobs import Reason
from transaction_history.domain.private_text import PrivateText
from transaction_history.domain.reports import Report, ReportRequest, report_of
from transaction_history.exports.plan import Plan
from transaction_history.exports.planned import PlannedRows
from transaction_history.exports.reading_postgres import ExportReader
from transaction_history.exports.source import Order, Source
from transaction_history.jobs.rows import Snapshot
from transaction_history.jobs.working import JobRefused, Work
from transaction_history.reports.datasets import OF_EACH_WALLET
from transaction_history.reports.totals import LedgerTotals
from transaction_history.reports.trial_balance import TrialBalance


@dataclass(frozen=True, slots=True)
class ReportOrders:
    """What reports want of the rows of *tenants*."""

    tenants: TenantPool
    reader: ExportReader
    private: PrivateText

    async def order(self, work: Work) -> Order:
        """Return the report's rows; raises JobRefused while something that belongs to them may still come."""
        request = report_of(work.job.request)
        seen = work.job.snapshot or await self._look(work, request)
        return Order(request.report, request, self._source(work, request, seen))

    async def _look(self, work: Work, request: ReportRequest) -> Snapshot:
        seen = await self.reader.look(work.job.tenant_id)
        if request.until is not None and (seen.complete_until is None or seen.complete_until < request.until):
            raise JobRefused(Reason.NOT_COMPLETE)
        await work.look_at(seen)
        return seen

    def _source(self, work: Work, request: ReportRequest, seen: Snapshot) -> Source:
        match request.report:
            case Report.LEDGER_TOTALS:
                return LedgerTotals(self.tenants, work, request)
            case Report.TRIAL_BALANCE:
                return TrialBalance(self.reader, work, request, seen)
            case _:
                return self._of_each_wallet(work, request, seen)

    def _of_each_wallet(self, work: Work, request: ReportRequest, seen: Snapshot) -> Source:
        dataset = OF_EACH_WALLET[request.report]
        plan = Plan(
            dataset,
            dataset.columns,
            ExportFilters(),
            tenant_id=work.job.tenant_id,
            owners=None,
            seen=seen,
            given={"since": request.since, "until": request.until},
        )
        return PlannedRows(self.reader, self.private, work.job, plan, request)
