"""The fault of too much: an open loop sends up to three times what the platform can carry out."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from tests.chaos.load.client import Response, parsed_head
from tests.chaos.load.exchanges import RETRYABLE
from tests.chaos.load.flood import LAST_ANSWERS_WITHIN_S, PATH, Asked, FloodPlan, body_of
from tests.chaos.load.history import OK, Command, is_definite
from tests.chaos.load.workload import Client
from tests.chaos.platform.platform import ROOT
from tests.chaos.run import Bite, Fault, Run

LEVEL_S = 3.0
LEVELS = (0.5, 1.0, 2.0, 3.0)
"""Of the peak, through the connections that a gateway would have."""
PEAK_CONNECTIONS = 512
GATEWAY_CONNECTIONS = 4096
"""Less than a second of work: what is due beyond them waits outside."""
MORE_CONNECTIONS = 8192
"""More than the queues take: here the platform refuses. Its own cores pay for that, and for the load itself."""
GOODPUT_MIN = 0.9
TRUE_OVERLOAD = 2.0
"""What is sent at last is as many times what any level carried out, or the peak was not found."""
_MARGIN_S = 30.0
_DONE = ""
_NO_ANSWER = "no answer"
_UNKNOWN = (_NO_ANSWER, "outcome_unknown")


@dataclass(frozen=True, slots=True)
class Level:
    """What came of one level: goodput is what was carried out and told in time, each second."""

    times: float
    connections: int
    goodput: float
    told: Counter[str]
    not_sent: int
    seconds_p99: float

    @property
    def shown(self) -> str:
        """The level in words."""
        return (
            f"{self.goodput:.0f}/s at {self.times:g} times through {self.connections} "
            f"(p99 {self.seconds_p99:.2f} s, {self.told.total()} refused, {self.not_sent} not sent)"
        )


async def overload(run: Run) -> Bite:
    """F22: find the peak in a closed loop, then send 0.5 to 3 times as much without waiting for answers."""
    await run.bank.fund()  # the load so far may have left wallets with too little for a refusal to be the flood's
    peak = await _level(run, 0.0, PEAK_CONNECTIONS, None)
    levels = [await _level(run, times, GATEWAY_CONNECTIONS, times * peak.goodput) for times in LEVELS]
    last = levels[-1]
    refusing = await _level(run, last.times, MORE_CONNECTIONS, last.times * peak.goodput)
    recovery_s = await run.recovery_s(time.monotonic())
    levels.append(refusing)
    best = max(level.goodput for level in (peak, *levels))
    shown = "; ".join(level.shown for level in levels)
    return Bite(
        what=f"{peak.goodput:.0f}/s in a closed loop; open, {shown}",
        count=refusing.told.total() if last.times * peak.goodput > TRUE_OVERLOAD * best else 0,
        recovery_s=recovery_s,
        breaches=[*less(last, peak.goodput), *(breach for level in levels for breach in untold(level))],
    )


def less(last: Level, peak: float) -> Iterator[str]:
    """Find a goodput that the load beyond the peak has lowered."""
    if last.goodput < GOODPUT_MIN * peak:
        yield f"goodput at {last.times:g} times is {last.goodput / peak:.2f} of the peak"


def untold(level: Level) -> Iterator[str]:
    """Find what was neither carried out nor refused with a time to come again."""
    for told, count in level.told.items():
        if told not in RETRYABLE:
            yield f"{count} were answered {told} at {level.times:g} times"


async def _level(run: Run, times: float, connections: int, per_s: float | None) -> Level:
    plan = FloodPlan(
        ports=run.platform.api_ports,
        wallets=run.bank.wallets,
        prefix=f"flood-{run.seed}-{times:g}-{connections}",
        seconds=LEVEL_S,
        connections=connections,
        per_s=per_s,
        answers=str(run.platform.folder / f"flood-{times:g}-{connections}.jsonl"),
    )
    return await carried_out(run, plan, times)


async def carried_out(run: Run, plan: FloodPlan, times: float) -> Level:
    """Carry out *plan*, of transfers between the bank's wallets, record what was settled, and return what came of it.

    What nobody knows the outcome of is asked for again until it is known.
    """
    not_sent, answered = await flooded(plan)
    for asked, answer in answered:
        if answer is not None and is_definite(answer):
            run.history.settle(_command(asked), answer, attempts=1)
    await _settle_unknown(run, [asked for asked, answer in answered if told_of(answer) in _UNKNOWN])
    told = Counter(told_of(answer) for _, answer in answered)
    in_time = [asked for asked, answer in answered if told_of(answer) == _DONE and asked.answered_s <= plan.seconds]
    seconds = sorted(asked.answered_s - asked.sent_s for asked in in_time)
    del told[_DONE]
    goodput = len(seconds) / plan.seconds
    return Level(times, plan.connections, goodput, told, not_sent, seconds[len(seconds) * 99 // 100])


async def flooded(plan: FloodPlan) -> tuple[int, list[tuple[Asked, Response | None]]]:
    """Carry *plan* out; return how many requests were due and not sent, and what was asked, with its answer."""
    flood = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.load.flood",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(plan.seconds + LAST_ANSWERS_WITHIN_S + _MARGIN_S):
        output, _ = await flood.communicate(json.dumps(asdict(plan)).encode())
    assert flood.returncode == 0, "the load could not be sent"
    return int(output), await asyncio.to_thread(_read, plan.answers)


def _read(answers: str) -> list[tuple[Asked, Response | None]]:
    with open(answers) as lines:  # noqa: PTH123  a path of text came from the plan
        asked = [Asked(**json.loads(line)) for line in lines]
    return [(each, answer_of(each)) for each in asked]


def answer_of(asked: Asked) -> Response | None:
    """Return the answer, None if none came."""
    if not asked.answer:
        return None
    head, _, body = asked.answer.partition("\r\n\r\n")
    return Response(*parsed_head(head), body.encode())


def told_of(answer: Response | None) -> str:
    """Return the code of the problem, none for what was done; one without a time to come again is told apart."""
    if answer is None:
        return _NO_ANSWER
    if answer.status in OK:
        return _DONE
    code: str = answer.json()["code"]
    return code if "retry-after" in answer.headers or code not in RETRYABLE else f"{code} without Retry-After"


async def _settle_unknown(run: Run, unknown: Sequence[Asked]) -> None:
    """Ask again under their keys for what nobody knows the outcome of."""
    client = Client(run.bank, run.chance)
    try:
        for each in unknown:
            await client.settle(_command(each))
    finally:
        client.close()


def _command(asked: Asked) -> Command:
    entries = ((asked.source, -1), (asked.destination, 1))
    return Command("transfer", asked.key, PATH, body_of(asked.source, asked.destination), (entries,))


FAULTS = (
    Fault(
        id="F22",
        title="open-loop overload up to three times the peak",
        inflict=overload,
        clients=2,
        is_alone=True,
    ),
)
