"""What answers about the past cost, on few entries and on many: the same questions to both, in turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from time import process_time
from typing import Final
from urllib.parse import quote

from tests.load import search
from tests.load.asking import closed_loop, paced
from tests.load.database import history_template
from tests.load.past import BEGIN, Made, Past, past
from tests.load.series import Rate, Series

from contracts.envelope import rfc3339
from engines.postgres import PostgresServer

EVENTS: Final = 100_000
"""That both pasts are made of; the long one has copies of them."""
READERS: Final = 16
PAGE: Final = "page"
_YEAR: Final = timedelta(days=365)
_OLD: Final = timedelta(days=30)
_REPEATED: Final = 300
_NOT_MODIFIED: Final = 304


@dataclass(slots=True)
class Asked:
    """What the long past took.

    *p99_ms* is of each question, asked at half of what is answered at most; *not_modified_share* is the CPU of a 304 ÷
    that of the full answer.
    """

    p99_ms: dict[str, float] = field(default_factory=dict)
    not_modified_share: float = 0.0


async def measure(running: PostgresServer, series: Series, *, events: int, times: int, rounds: int) -> Asked:
    """Add to *series* what each question is answered at, on so many *events*, and on so many *times* as many."""
    template, found = history_template(running), Asked()
    async with (
        template.database() as one,
        template.database() as another,
        past(one, events, 1) as short,
        past(another, events, times) as long,
    ):
        series.add("history-index alone", Rate(short.indexed_per_s))
        to_short, to_long = questions(short.made), questions(long.made)
        for name, path in to_long.items():
            for _ in range(rounds):
                for size, asked, to in (("few", short, to_short[name]), ("many", long, path)):
                    series.add(f"history {name} {size}", Rate((await closed_loop(asked, to, READERS)).per_s))
            most = series.median(f"history {name} many")
            assert most is not None
            found.p99_ms[name] = (await paced(long, path, READERS, per_s=most / 2)).p99_ms
        found.not_modified_share = await _not_modified_share(long, to_long[PAGE])
    return found


def questions(made: Made) -> Mapping[str, str]:
    """Return what is asked, by its name: paths below `/v1/history/`."""
    old, year_later = (quote(rfc3339(BEGIN + _OLD + more)) for more in (timedelta(), _YEAR))
    year = f"from={old}&to={year_later}&bucket=day&time_zone=Europe/Berlin"
    searches = {
        f"search-{kind.replace(', ', '-').replace(' ', '-')}": f"search?limit=50&q={quote(query)}"
        for kind, query in search.questions(made).items()
    }
    return {
        PAGE: f"wallets/{made.busy}/entries?limit=50",
        "page-of-tenant": "entries?limit=50",
        "balance-busy": f"wallets/{made.busy}/balance?at={old}",
        "balance-quiet": f"wallets/{made.quiet}/balance?at={old}",
        "year-by-days": f"wallets/{made.busy}/balance-series?{year}",
        **searches,
    }


async def _not_modified_share(asked: Past, path: str) -> float:
    """Return the CPU of this process for answering that nothing changed ÷ for the full answer."""
    tag = (await asked.ask(path)).headers[b"etag"].decode()
    assert (await asked.ask(path, if_none_match=tag)).status == _NOT_MODIFIED
    full = await _cpu_s(asked, path, {})
    return await _cpu_s(asked, path, {"if_none_match": tag}) / full


async def _cpu_s(asked: Past, path: str, headers: Mapping[str, str]) -> float:
    began_s = process_time()
    for _ in range(_REPEATED):
        await asked.ask(path, **headers)
    return process_time() - began_s
