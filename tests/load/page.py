"""`docs/benchmarks.md`, made of what a run told."""

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.load import plots
from tests.load.plan import CELLS
from tests.load.ratios import judged
from tests.load.sizes import CHECKPOINTED
from tests.pages import run_by, table

_TITLES: Final = {
    "rates.svg": "Transfers a second",
    "profile.svg": "µs per command in each part",
    "sizes.svg": "What a transfer costs on a growing journal",
}
_HOW: Final = """\
Each cell runs for {seconds:g} s in each of {rounds} rounds, and medians are compared: on a busy machine the ratios stay
where the rates do not. Transfers go between {wallets:,} funded wallets, or all out of one (*hot*). PostgreSQL is the
embedded one with `fsync`, `full_page_writes` and `synchronous_commit` on; every transfer leaves two journal rows with
the payload of their events and an idempotency record with the answer. pgbench writes rows of the same size through the
same indexes and checks, one transaction per transfer, with prepared statements: with several statements as a service
without batches would send them, and with one function. The load generator over HTTP is {generator}, on the same
machine. The API runs as it is delivered: validation, idempotency, metrics, and one trace in a hundred. Where the whole
platform runs, its fraud rules allow so many debits: those that come with it freeze a wallet at its 61st within a
minute, and a load test of your own needs `FRAUD_SHADOW=true`."""
_PARTS: Final = """\
`parse`, `decide` and `encode` are the product's functions alone, at their fastest; `plan` is what the committer does
with a batch, decide and encode included. A SQL call's time runs from handing it to the driver to its answer, shared out
among the batch's commands; while it runs, the next batch is decided. A batch decided ahead is one call
(`commit_rows`), whose time includes its wait for the batch before it; one decided on locked rows is the other
four."""


_SIZES: Final = """\
After a checkpoint the first change of each page writes the whole page into the log. The clients' keys are random, so on
a large journal that is a page per transfer until the index of the keys has been written once; then a large journal
costs what a small one does. Checkpoints are fifteen minutes apart, as in the local stack."""


_CORES: Final = """\
µs of CPU of each process for one transfer, while {at:,.0f} a second were made of the {wanted:,.0f} that were asked for:
{total:,.0f} µs in all, of which {cores} cores carry at most {most:,.0f} a second. At half of what was carried,
{half:,.0f} a second, p99 is {half_p99_ms:,.0f} ms."""


def write(told: Mapping[str, Any], path: Path, *, wallets: int) -> None:
    """Write the page, and its pictures into the folder of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = plots.draw(told, path.with_suffix(""))
    path.write_text("\n\n".join(_sections(told, path.stem, pictures, wallets)) + "\n")


def _sections(told: Mapping[str, Any], folder: str, pictures: list[str], wallets: int) -> Iterator[str]:
    plan = told["plan"]
    yield "# Benchmarks\n\nWritten by `make bench`; not to be changed by hand."
    yield run_by(told)
    yield _HOW.format(seconds=plan["seconds"], rounds=plan["rounds"], wallets=wallets, generator=told["generator"])
    if told["failed"]:
        yield f"**Not measured in some round, for it failed: {'; '.join(told['failed'])}.**"
    yield from _floors(told)
    for name in pictures:
        yield f"## {_TITLES[name]}\n\n![{_TITLES[name]}]({folder}/{name})"
        if name == "profile.svg":
            yield _PARTS
            yield table(("part", "µs per command"), ((key, f"{us:.2f}") for key, us in told["profile_us"].items()))
        if name == "sizes.svg":
            yield _SIZES
            yield _sizes(told)
    if told["cores_us"]:
        yield from _cores(told)
    yield from _all(told)


def _cores(told: Mapping[str, Any]) -> Iterator[str]:
    figures, total = told["figures"], sum(told["cores_us"].values())
    cores = told["machine"]["cores"]
    yield "## What takes the cores while a transfer becomes visible"
    yield _CORES.format(
        at=figures["visible_at_per_s"],
        wanted=figures["visible_wanted_per_s"],
        total=total,
        cores=cores,
        most=cores * 1e6 / total,
        half=figures["visible_half_at_per_s"],
        half_p99_ms=figures["visible_half_p99_ms"],
    )
    by_cost = sorted(told["cores_us"].items(), key=lambda part: -part[1])
    yield table(("part", "µs of CPU per transfer"), ((part, f"{us:.0f}") for part, us in by_cost if us >= 1))


def _sizes(told: Mapping[str, Any]) -> str:
    steady, first = (plots.size_costs_us(told, what) for what in ("sizes", CHECKPOINTED))
    header = ("journal rows", "µs per transfer between checkpoints", "in the first seconds after one")
    return table(
        header,
        ((f"{rows:,}", f"{us:.1f}", f"{first[rows]:.1f}" if rows in first else "") for rows, us in steady.items()),
    )


def _floors(told: Mapping[str, Any]) -> Iterator[str]:
    verdicts = judged({**told["ratios"], **told["figures"]})
    rows = [
        (
            f"`{floor.name}`",
            floor.tells,
            f"{'≤' if floor.is_ceiling else '≥'} {floor.bound:,g}",
            f"{value:,g}",
            "holds" if floor.holds(value) else "**missed**",
        )
        for floor, value in verdicts
    ]
    yield "## What it must reach"
    yield table(("name", "what it tells", "bound", "measured", ""), rows)
    missed = [(floor, value) for floor, value in verdicts if not floor.holds(value)]
    if missed:
        yield "Missed in this run, with what bounds each:"
        yield "\n".join(f"- `{floor.name}` is {value:,g}: bounded by {floor.bounded_by}." for floor, value in missed)


def _all(told: Mapping[str, Any]) -> Iterator[str]:
    yield "## Every ratio and figure"
    values = {**told["ratios"], **told["figures"]}
    yield table(("name", "value"), ((f"`{name}`", f"{value:,}") for name, value in values.items()))
    yield "## Every cell"
    yield "\n".join(f"- `{name}`: {CELLS[name]}" for name in CELLS if name in told["plan"]["cells"])
    yield table(
        ("cell", "transfers/s", "each round", "µs of CPU of the process", "generator's share of a core"),
        (_cell(name, rates) for name, rates in told["series"].items()),
    )


def _cell(name: str, rates: list[Mapping[str, float | None]]) -> tuple[str, ...]:
    per_s = [rate["per_s"] or 0.0 for rate in rates]
    cpu = [rate["cpu_us"] for rate in rates if rate["cpu_us"] is not None]
    share = [rate["generator_cpu_share"] for rate in rates if rate["generator_cpu_share"] is not None]
    return (
        name,
        f"{statistics.median(per_s):,.0f}",
        ", ".join(f"{each:,.0f}" for each in per_s),
        f"{statistics.median(cpu):.0f}" if cpu else "",
        f"{statistics.median(share):.0%}" if share else "",
    )
