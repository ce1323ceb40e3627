"""Entries as one answer that streams: CSV or JSON lines, in the columns that exports of entries have."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse

from contracts import problems
from contracts.envelope import rfc3339
from contracts.events import Private
from contracts.money import format_minor
from servicekit.failures import Overloaded
from servicekit.http.problems import Problem
from servicekit.principal import Principal
from servicekit.read_answers import tell_freshness
from servicekit.read_model.projected import Freshness
from transaction_history.domain.rows import EntryRow
from transaction_history.domain.tables import Cell, CsvWriter, JsonLinesWriter, RowWriter
from transaction_history.entrypoints.files import begun
from transaction_history.exports.cells import text_cell
from transaction_history.exports.datasets import ENTRIES

ROWS_MAX: Final = 100_000
"""Of one answer: more is a job."""
CHUNK_ROWS: Final = 1_000
"""Read and written at a time: some milliseconds of the process."""
OF_TENANT_MAX: Final = 2
STREAMS_MAX: Final = 8
"""In one process, side by side."""
WRITERS: Final[Sequence[type[CsvWriter | JsonLinesWriter]]] = (CsvWriter, JsonLinesWriter)
MEDIA_TYPES: Final = tuple(writer.media_type.partition(";")[0] for writer in WRITERS)
_HEADS: Final = [column.head for column in ENTRIES.columns]


@dataclass(frozen=True, slots=True)
class Some:
    """Some of the entries that are streamed, with their free text, as fresh as that."""

    rows: Sequence[EntryRow]
    texts: Sequence[Private]
    freshness: Freshness


class Streams:
    """The answers that stream, which are bounded: each may last as long as its client reads slowly."""

    def __init__(self) -> None:
        self._of_tenant: Counter[UUID] = Counter()

    @contextmanager
    def one(self, tenant_id: UUID) -> Iterator[None]:
        """Count the body as one of the tenant's; raises Overloaded where there are as many as there may be."""
        if self._of_tenant[tenant_id] >= OF_TENANT_MAX or self._of_tenant.total() >= STREAMS_MAX:
            raise Overloaded("as many answers stream as may")
        self._of_tenant[tenant_id] += 1
        try:
            yield
        finally:
            self._of_tenant[tenant_id] -= 1
            if not self._of_tenant[tenant_id]:
                del self._of_tenant[tenant_id]


async def _writer(request: Request) -> RowWriter | None:
    asked = {each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")}
    found = next((writer for writer, kind in zip(WRITERS, MEDIA_TYPES, strict=True) if kind in asked), None)
    return None if found is None else found(_HEADS)


Streamed = Annotated[RowWriter | None, Depends(_writer)]
"""What writes the rows of an answer that streams, which `Accept` asks for; None where a page is asked for."""


async def stream_answer(
    streams: Streams, caller: Principal, writer: RowWriter, chunks: AsyncGenerator[Some, None]
) -> Response:
    """Answer the entries of *chunks*; raises what the first chunk raises, and Overloaded."""
    seen: list[Freshness] = []

    async def data() -> AsyncIterator[bytes]:
        with streams.one(caller.tenant_id):
            async with aclosing(chunks):
                head, count = writer.head(), 0
                async for some in chunks:
                    seen.append(some.freshness)
                    count += len(some.rows)
                    if count > ROWS_MAX:
                        raise too_many()
                    pairs = zip(some.rows, some.texts, strict=True)
                    yield head + writer.rows([_cells(row, private, caller) for row, private in pairs])
                    head = b""

    answer = StreamingResponse(
        await begun(data()),
        media_type=writer.media_type,
        headers={"cache-control": "private, no-store", "content-disposition": "attachment"},
    )
    tell_freshness(answer, seen[0])
    return answer


def too_many() -> Problem:
    """Return that there are more entries than one answer has; in the midst of one, it breaks off."""
    return Problem(problems.TOO_MANY_ROWS, f"There are more than {ROWS_MAX:,} entries: have an export made.")


def _cells(row: EntryRow, private: Private, caller: Principal) -> list[Cell]:
    """Return the cells of *row* in the order of the columns of exports."""
    other = row.counterparty_owner_id
    posted, held = row.posted_minor_after, row.held_minor_after
    return [
        str(row.event_id),
        rfc3339(row.occurred_at),
        str(row.wallet_id),
        row.owner_id,
        row.version,
        row.type,
        _id(row.transaction_id),
        row.transaction_type,
        row.entry_index,
        row.entry_count,
        format_minor(row.amount_minor, row.currency),
        row.currency,
        *(format_minor(minor, row.currency) for minor in (posted, held, posted - held)),
        _id(row.counterparty_wallet_id),
        other if other is not None and caller.acts_for_owner(other) else None,
        row.counterparty_account,
        *(text_cell(text) for text in (private.reference, private.description, private.metadata, private.destination)),
        _id(row.related_transaction_id),
        _id(row.hold_id),
        row.fee_rule,
        row.is_forced,
    ]


def _id(found: UUID | None) -> str | None:
    return None if found is None else str(found)
