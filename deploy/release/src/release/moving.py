"""Carries a move out, step by step: each is recorded when it is done, and may be done twice."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from engines import checkout
from engines.errors import EngineError
from local_stack import beside, fronting
from local_stack.errors import StackError
from local_stack.processes import migration
from local_stack.supervisor import run_once, together
from release import commits, sessions, smoke
from release.book import Book
from release.domain import moves
from release.domain.moves import Move, Record, Release, Step
from release.domain.watching import figures_of, worse
from release.errors import ReleaseFailed
from release.platform import Platform
from release.sides import Side, names_of, side_of, until
from release.telling import answered, size_of
from servicekit.clock import unix_s

CALM_S: Final = 30.0
"""So much of the time before the switch is what later times are compared with."""
LOOK_S: Final = 1.0

Tell = Callable[[str], None]


class Mover:
    """Moves clients of *platform* between releases; *tell* is called with what it does."""

    def __init__(self, platform: Platform, book: Book, tell: Tell, *, watch_s: float) -> None:
        self._platform = platform
        self._book = book
        self._tell = tell
        self._watch_s = watch_s
        self._gateway = fronting.gateway(platform.config, platform.config.logs / "gateway.log")
        self._steps: dict[Step, Callable[[Record], Record]] = {
            Step.BUILT: self._build,
            Step.MIGRATED: self._migrate,
            Step.STARTED: self._start,
            Step.READY: self._await_ready,
            Step.SMOKED: self._smoke,
            Step.SWITCHED: self._switch,
            Step.HANDED_OVER: self._hand_over,
            Step.WATCHED: self._watch,
            Step.DRAINED: self._drain,
        }

    def carry_out(self, record: Record) -> Record:
        """Do what is left of the record's move; where a step fails, go back and raise ReleaseFailed with its reason."""
        try:
            while steps := moves.remaining(_move(record)):
                record = self._take(record, steps[0])
        except (ReleaseFailed, EngineError, StackError) as error:
            self._tell(f"going back: {error}")
            self.go_back(record)
            raise ReleaseFailed(f"{error}\n{record.serving.name} serves as before") from error
        record = moves.finished(record)
        self._book.write(record)
        return record

    def go_back(self, record: Record) -> Record:
        """Undo what is done of the record's move: lead clients back, have the old processes run, end the new ones."""
        move = _move(record)
        old = side_of(record.serving, self._platform)
        if moves.may_have_switched(move):
            old.start()
            smoke.await_ready(old, self._platform.key)
            self._lead_to(old)
        if Step.BUILT in move.done or move.kind is moves.Kind.ROLLBACK:
            side_of(move.to, self._platform).end()
        record = moves.gone_back(record)
        self._book.write(record)
        return record

    def _take(self, record: Record, step: Step) -> Record:
        began_s = time.monotonic()
        record = moves.with_step(self._steps[step](record), step)
        self._book.write(record)
        self._tell(f"{step} ({time.monotonic() - began_s:.1f} s)")
        return record

    def _build(self, record: Record) -> Record:
        release = _move(record).to
        self._tell(f"building {release.name}: a worktree and its environment, which takes up to a minute")
        commits.build(release.commit)
        return record

    def _migrate(self, record: Record) -> Record:
        migrate(self._to(record), "pre")
        return record

    def _start(self, record: Record) -> Record:
        self._to(record).start()
        return record

    def _await_ready(self, record: Record) -> Record:
        smoke.await_ready(self._to(record), self._platform.key)
        return record

    def _smoke(self, record: Record) -> Record:
        smoke.smoke(self._to(record), self._platform.canary_key)
        return record

    def _switch(self, record: Record) -> Record:
        calm = figures_of(answered(self._gateway.requests_log, since_s=unix_s() - CALM_S))
        switch_s = self._lead_to(self._to(record))
        self._tell(f"clients are led to {_move(record).to.name}, within {switch_s:.2f} s")
        return replace(
            record, move=replace(_move(record), switch_ms=round(switch_s * 1e3), calm_p99_ms=calm.p99_ms or None)
        )

    def _lead_to(self, side: Side) -> float:
        """Lead clients to *side*; return how long that took, in seconds."""
        began_s = time.monotonic()
        self._gateway.switch(fronting.behind(side.config), pid=self._platform.gateway_pid)
        took_s = time.monotonic() - began_s
        beside.write_serving(self._platform.folder, "" if side.release.is_own else side.release.name)
        self._platform.look_again()
        return took_s

    def _hand_over(self, record: Record) -> Record:
        old = side_of(record.serving, self._platform)
        self._rest_besides_apis(old)
        smoke.await_handed_over(self._to(record))
        return record

    def _rest_besides_apis(self, side: Side) -> None:
        names = names_of(side.config, apis=False)
        side.rest(names)
        until(lambda: side.at_work().isdisjoint(names), f"{side.release.name}'s relays and projectors to end")

    def _watch(self, record: Record) -> Record:
        """Look at what clients are told, for as long as is asked; raises ReleaseFailed where they are worse off."""
        side, log = self._to(record), self._gateway.requests_log
        from_byte, ends_s = size_of(log), time.monotonic() + self._watch_s
        while time.monotonic() < ends_s:
            time.sleep(min(LOOK_S, self._watch_s))
            found = worse(figures_of(answered(log, from_byte=from_byte)), _move(record).calm_p99_ms)
            if found is not None:
                raise ReleaseFailed(f"clients of {side.release.name} are worse off: {found}")
            if (name := smoke.ill(side)) is not None:
                raise ReleaseFailed(f"{name} of {side.release.name} is not ready any more")
        return record

    def _drain(self, record: Record) -> Record:
        side_of(record.serving, self._platform).end()
        return record

    def _to(self, record: Record) -> Side:
        return side_of(_move(record).to, self._platform)


def _move(record: Record) -> Move:
    assert record.move is not None, "it is carried out"
    return record.move


def migrate(side: Side, phase: str) -> None:
    """Run *phase* of each service's migrations; raises StackError with the end of the log where one fails."""

    def log(name: str) -> Path:
        return side.home / "logs" / f"{name}.log"

    commands = [migration(side.config, each, side.found, log, "--phase", phase) for each in side.config.services]
    asyncio.run(together(*map(run_once, commands)))


def sessions_of_others(side: Side) -> Sequence[str]:
    """Return the sessions of processes of releases other than *side*'s, at all its databases."""
    databases = side.found.databases

    async def all_of_them() -> list[str]:
        found = [
            await sessions.of_other_releases(service, databases[service.name], side.release.name)
            for service in side.config.services
        ]
        return [name for names in found for name in names]

    return asyncio.run(all_of_them())


def opened(platform: Platform, book: Book) -> Record:
    """Return what is kept of this run of the stack, or what is so where it has just begun."""
    kept = book.read()
    if kept is not None and kept.stack == platform.run:
        return kept
    name = str(platform.document["release"])
    if not name:
        raise ReleaseFailed("this is no clone of git: releases are commits, so clone the repository")
    commit = commits.find(name) if name == checkout.release() else name
    return Record(stack=platform.run, serving=Release(name=name, commit=commit, shift=0, is_own=True))
