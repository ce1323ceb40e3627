"""Answers that are kept, as an API process serves them: made once where there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from servicekit.clock import monotonic_s
from servicekit.failures import OperationalError, Overloaded
from servicekit.postgres import Pool
from servicekit.principal import Principal
from servicekit.tenant_pool import TenantPool
from transaction_history.dashboard import answers_postgres as kept_answers
from transaction_history.dashboard.answers_postgres import Answered, Kept, Taken
from transaction_history.domain.dashboard import Question
from transaction_history.reads.figures import answer_to
from transaction_history.reads.view import Views

WAIT_S: Final = 3.0
WAITERS_MAX: Final = 32
POLL_S: Final = 0.05


class Answers:
    """Serves what is kept, read through *tenants* and written through *commands*; what it makes is read by *views*."""

    def __init__(self, tenants: TenantPool, commands: Pool, views: Views) -> None:
        self._tenants = tenants
        self._commands = commands
        self._views = views
        self._waiters = 0

    async def answer(self, caller: Principal, question: Question) -> Kept:
        """Return the answer to *question* about the caller's tenant: what is kept, else what is made now, by one alone.

        Raises Overloaded where another takes too long to make it, or too many wait for that.
        """
        kept = await self._kept(caller, question)
        if kept is None:
            async with self._commands.transaction() as tx:
                taken = await kept_answers.take(tx, caller.tenant_id, question)
            return await (self._await(caller, question) if taken is None else self._make(caller, taken))
        if kept.is_touch_due:
            with suppress(OperationalError):  # the answer is there; whoever asks next notes it
                async with self._commands.connection() as connection:
                    await kept_answers.touch(connection, caller.tenant_id, question)
        return kept

    async def _kept(self, caller: Principal, question: Question) -> Kept | None:
        async with self._tenants.reading(caller.tenant_id) as connection:
            return await kept_answers.read(connection, caller.tenant_id, question)

    async def _make(self, caller: Principal, taken: Taken) -> Kept:
        began_s = monotonic_s()
        try:
            answer: Answered = await self._views.answer(
                caller, {}, lambda view: answer_to(view.connection, caller.tenant_id, taken.question)
            )
        except Exception:
            with suppress(OperationalError):  # what could not be made is told, not that nobody was let at it
                await self._written(lambda connection: kept_answers.release(connection, taken))
            raise
        took_ms = round((monotonic_s() - began_s) * 1_000)
        await self._written(lambda connection: kept_answers.store(connection, taken, answer, took_ms=took_ms))
        return Kept(answer, 0.0, is_touch_due=False)

    async def _written(self, write: Callable[..., Awaitable[None]]) -> None:
        async with self._commands.connection() as connection:
            await write(connection)

    async def _await(self, caller: Principal, question: Question) -> Kept:
        """Return the answer that another makes."""
        if self._waiters >= WAITERS_MAX:
            raise Overloaded("Too many wait for an answer that is being made.")
        self._waiters += 1
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    await asyncio.sleep(POLL_S)
                    kept = await self._kept(caller, question)
                    if kept is not None:
                        return kept
        except TimeoutError:
            raise Overloaded("The answer is being made; ask again in a moment.") from None
        finally:
            self._waiters -= 1
