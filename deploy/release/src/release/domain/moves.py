"""The steps that lead clients from one release to another, what is left of them, and what is refused. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, assert_never

PORT_SHIFT: Final = 10_000
"""How far above the stack's own ports those of the release beside it are."""


class Step(StrEnum):
    """What has been done of a move, in this order."""

    BUILT = "built"
    MIGRATED = "migrated"
    STARTED = "started"
    READY = "ready"
    SMOKED = "smoked"
    SWITCHED = "switched"
    HANDED_OVER = "handed over"
    WATCHED = "watched"
    DRAINED = "drained"


class Kind(StrEnum):
    """Which way a move goes."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A commit, how it is called, and how far its ports are shifted; *is_own* that which the stack runs by itself."""

    name: str
    commit: str
    shift: int
    is_own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A way from the release that serves to another, and what of it is done."""

    kind: Kind
    to: Release
    done: tuple[Step, ...] = ()
    switch_ms: int | None = None
    calm_p99_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept between commands: the run of the stack that it is about, who serves, who did before, what goes on.

    *before* is None where there is nothing to go back to: nothing was deployed, or its schema is no more.
    """

    stack: str
    serving: Release
    before: Release | None = None
    is_contracted: bool = field(default=False)
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing is done, in one sentence that says what to do."""

    reason: str


def decide_deploy(record: Record, *, name: str, commit: str) -> Move | Refused:
    """Return the move to *commit*, one that was begun with what is done of it; or why there is none."""
    if record.move is not None:
        if record.move.kind is Kind.DEPLOY and record.move.to.commit == commit:
            return record.move
        return Refused(
            f"the {record.move.kind} of {record.move.to.name} is not finished:"
            f" `python -m release {_resumed(record.move)}` goes on with it, `python -m release rollback` goes back"
        )
    if record.serving.commit == commit:
        return Refused(f"{name} serves already: name another commit")
    shift = 0 if record.serving.shift else PORT_SHIFT
    return Move(kind=Kind.DEPLOY, to=Release(name=name, commit=commit, shift=shift))


def decide_rollback(record: Record) -> Move | Refused:
    """Return the move to the release before, or the one that is to be undone: a deploy that is not finished."""
    if record.move is not None:
        return record.move
    if record.is_contracted:
        return Refused("the release before cannot run on the contracted schema: deploy one that mends what is wrong")
    if record.before is None:
        return Refused("there is no release to go back to: `release deploy --to <commit>` brings one in")
    return Move(kind=Kind.ROLLBACK, to=record.before)


def decide_contract(record: Record, sessions: Sequence[str]) -> Refused | None:
    """Return why the post files may not run: *sessions* are those of processes of other releases."""
    if record.move is not None:
        return Refused(f"the {record.move.kind} of {record.move.to.name} is not finished: finish it first")
    if sessions:
        return Refused(
            f"processes of an older release are connected ({', '.join(sorted(set(sessions))[:5])}): end them first"
        )
    return None


def _resumed(move: Move) -> str:
    match move.kind:
        case Kind.DEPLOY:
            return f"deploy --to {move.to.name}"
        case Kind.ROLLBACK:
            return "rollback"
        case _:
            assert_never(move.kind)


def steps_of(move: Move) -> list[Step]:
    """Return every step of *move*: what has run before is built, and its schema is there."""
    known = move.kind is Kind.ROLLBACK
    return [each for each in Step if not (known and each in {Step.BUILT, Step.MIGRATED})]


def remaining(move: Move) -> list[Step]:
    """Return what is to be done yet, in order."""
    return [each for each in steps_of(move) if each not in move.done]


def may_have_switched(move: Move) -> bool:
    """Return whether clients may be led to it already: what follows the smoke test may be done in part."""
    return Step.SMOKED in move.done


def begun(record: Record, move: Move) -> Record:
    """Return the record with *move* under way."""
    return replace(record, move=move)


def with_step(record: Record, step: Step) -> Record:
    """Return the record with *step* done."""
    assert record.move is not None, "a step is one of a move"
    assert step not in record.move.done, "a step is done once"
    return replace(record, move=replace(record.move, done=(*record.move.done, step)))


def finished(record: Record) -> Record:
    """Return the record after the last step: from a rollback there is no way back but another deploy."""
    assert record.move is not None, "a move is finished"
    assert not remaining(record.move), "nothing of it is left"
    before = record.serving if record.move.kind is Kind.DEPLOY else None
    return replace(record, serving=record.move.to, before=before, is_contracted=False, move=None)


def gone_back(record: Record) -> Record:
    """Return the record of before the move."""
    return replace(record, move=None)


def contracted(record: Record) -> Record:
    """Return the record after the post files have run."""
    return replace(record, before=None, is_contracted=True)
