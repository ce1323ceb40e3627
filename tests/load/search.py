"""How fast entries are indexed and found again, by how many there are: `python -m tests.load.search --times 10`.

Both projections are fed a long past; then readers ask the API, each kind of question for itself. The figures are
printed: events a second of the indexer alone, rows and bytes of the index, and p50 and p99 of each kind.
"""

import argparse
import asyncio
from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from tests.load.asking import closed_loop
from tests.load.database import history_template, run_folder
from tests.load.past import VOCABULARY, Made, past

from engines import temporary
from engines.postgres import VOLATILE

SETTINGS = {**VOLATILE, "shared_buffers": "2GB"}


def questions(made: Made) -> Mapping[str, str]:
    """Return what is asked, by its kind."""
    some = made.owner(made.wallets[2])
    return {
        "rare word": "quagga alpha",
        "rare of this month": f"zebra{(made.entries - 1_000) // 1_000 * 1_000 + 10} invoice",
        "common word": "payment alpha",
        "prefix": "zeb",
        "two that never meet": "alpha omega.",
        "everyday word": f"{VOCABULARY[2_000]} payment",
        "none found": "nothing-of-this-kind alpha",
        "reference": f"reference:R-{made.entries // 3}",
        "own scope, common": f"owner:{some} payment",
        "own scope, never meet": f"owner:{some} alpha omega.",
        "busy wallet, never meet": f"wallet:{made.busy} alpha omega.",
    }


async def measure(entries: int, times: int, readers: int) -> None:
    """Fill a database and print what was measured."""
    with run_folder() as folder, temporary.running_postgres(folder, settings=SETTINGS) as server:
        async with history_template(server).database() as database, past(database, entries, times) as asked:
            told = await asked.admin.fetchrow(
                """select count(*), (select sum(pg_total_relation_size(c.oid)) from pg_class c
                                     where relname ~ '^search_entry_2' and relkind = 'r'),
                          avg(cardinality(terms)) from history_index.search_entry"""
            )
            assert told is not None
            rows, size, per_entry = told
            print(
                f"{entries} entries: {asked.indexed_per_s:,.0f} events/s indexed; {rows:,} rows of"
                f" {size / rows:.0f} bytes, {per_entry:.1f} terms each",
                flush=True,
            )
            for kind, query in questions(asked.made).items():
                path = f"search?limit=50&q={quote(query)}"
                await closed_loop(asked, path, readers)
                took = await closed_loop(asked, path, readers)
                page = msgspec.json.decode((await asked.ask(path)).body)
                found = f"{len(page['data'])} found{', more' if page['next_cursor'] is not None else ''}"
                print(f"  {kind:26} p50 {took.p50_ms:6.1f} ms, p99 {took.p99_ms:6.1f} ms, {found}", flush=True)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="how many entries are made by events")
    parser.add_argument("--times", type=int, default=1, help="how many times each is there in the end")
    parser.add_argument("--readers", type=int, default=16, help="how many ask at once")
    given = parser.parse_args()
    asyncio.run(measure(given.entries, given.times, given.readers))


if __name__ == "__main__":
    main()
