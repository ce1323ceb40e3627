"""What workers do for dashboards by themselves: answers made anew while somebody asks, and the ledger's figures."""

from typing import Final

from servicekit.clock import monotonic_s
from servicekit.maintenance import Job, JobRun
from servicekit.tenant_pool import TenantPool
from transaction_history.dashboard import answers_postgres as kept_answers
from transaction_history.dashboard.answers_postgres import FORGOTTEN_MAX
from transaction_history.dashboard.ledger_figures import LEDGER_EVERY_S, LedgerFigures
from transaction_history.reads.figures import answer_to

LOOKS_EVERY_S: Final = 3.0
FORGETS_EVERY_S: Final = 60.0
DEADLINE_S: Final = 20.0
LEDGER_DEADLINE_S: Final = 30.0


def dashboard_jobs(tenants: TenantPool, figures: LedgerFigures) -> list[Job]:
    """Return the jobs; tenants' figures are read through *tenants*, one answer at a time."""

    async def refresh(run: JobRun) -> int:
        async with run.transaction() as tx:
            taken = await kept_answers.take_due(tx)
        if taken is None:
            return 0
        began_s = monotonic_s()
        async with tenants.reading(taken.tenant_id) as connection:
            answer = await answer_to(connection, taken.tenant_id, taken.question)
        took_ms = round((monotonic_s() - began_s) * 1_000)
        async with run.transaction() as tx:
            await kept_answers.store(tx.connection, taken, answer, took_ms=took_ms)
        return 1

    async def forget(run: JobRun) -> int:
        async with run.transaction() as tx:
            return await kept_answers.forget(tx)

    return [
        Job(
            name="refresh_answers",
            interval_s=LOOKS_EVERY_S,
            run=refresh,
            chunk_rows=1,
            deadline_s=DEADLINE_S,
            has_leader=True,
        ),
        Job(
            name="forget_answers",
            interval_s=FORGETS_EVERY_S,
            run=forget,
            chunk_rows=FORGOTTEN_MAX,
            has_leader=True,
        ),
        Job(
            name="measure_ledger",
            interval_s=LEDGER_EVERY_S,
            run=figures.measure,
            deadline_s=LEDGER_DEADLINE_S,
            has_leader=True,
        ),
    ]
