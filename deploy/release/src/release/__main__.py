"""`python -m release deploy --to REF | rollback | contract | status`: lead clients to another release, and back.

Exit codes: 0 done; 1 not done, the reason is told and the release that served serves on; 2 for what is no command.
"""

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from engines.errors import EngineError
from local_stack.errors import StackError
from release import commits, platform, running
from release.book import Book
from release.domain import moves
from release.domain.moves import Move, Record, Refused, Release
from release.errors import ReleaseFailed
from release.marking import mark
from release.moving import Mover, migrate, opened, sessions_of_others
from release.platform import Platform
from release.sides import Beside, side_of

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

DryRun = Annotated[bool, typer.Option(help="Tell what would be done, and change nothing.")]
Watch = Annotated[
    float, typer.Option(help="How long clients are watched after the switch, in seconds.", min=0, max=600)
]


def _platform() -> Platform:
    return platform.find(dict(os.environ))


def _say(text: str) -> None:
    print(text, flush=True)


@app.command()
def deploy(
    *,
    to: Annotated[str, typer.Option(help="The commit, a branch or a tag of this clone.")],
    watch: Watch = 30.0,
    dry_run: DryRun = False,
) -> None:
    """Bring a commit in beside what runs, lead clients to it, and drain what ran; go back where it is worse."""
    stack = _platform()
    commit = commits.find(to)
    _move(
        stack, lambda record: moves.decide_deploy(record, name=commits.name_of(commit), commit=commit), watch, dry_run
    )


@app.command()
def rollback(*, watch: Watch = 30.0, dry_run: DryRun = False) -> None:
    """Lead clients back to the release before, until `contract`; undo a deploy that is not finished."""
    _move(_platform(), moves.decide_rollback, watch, dry_run)


def _move(stack: Platform, decide: Callable[[Record], Move | Refused], watch_s: float, is_dry: bool) -> None:  # noqa: FBT001  commands' own option
    book = Book(stack.folder)
    with book.alone():
        record = opened(stack, book)
        move = _unless_refused(decide(record))
        mover = Mover(stack, book, _say, watch_s=watch_s)
        is_undone = record.move is not None and decide is moves.decide_rollback and move.kind is moves.Kind.DEPLOY
        if is_dry:
            _say(f"{record.serving.name} serves; {move.kind} of {move.to.name}:")
            _say("it would be undone" if is_undone else "\n".join(f"  {each}" for each in moves.remaining(move)))
        elif is_undone:
            mover.go_back(record)
            _say(f"{record.serving.name} serves; {move.to.name} has ended")
        else:
            record = moves.begun(record, move)
            book.write(record)
            mover.carry_out(record)
            _say(f"{move.to.name} serves")


@app.command()
def contract(*, yes: Annotated[bool, typer.Option(help="Do not ask.")] = False, dry_run: DryRun = False) -> None:
    """Run the migrations that the release before would not survive; from then on there is no rollback."""
    stack = _platform()
    book = Book(stack.folder)
    with book.alone():
        record = opened(stack, book)
        side = side_of(record.serving, stack)
        _unless_refused(moves.decide_contract(record, sessions_of_others(side)))
        if dry_run:
            _say(f"the post files of {record.serving.name} would be run, and no rollback be possible afterwards")
            return
        if not yes:
            typer.confirm(f"There is no way back from {record.serving.name} afterwards. Go on?", abort=True)
        migrate(side, "post")
        book.write(moves.contracted(record))
        _say(f"contracted to {record.serving.name}")


@app.command()
def status() -> None:
    """Tell which release serves, which one could again, and what is not finished."""
    stack = _platform()
    record = opened(stack, Book(stack.folder))
    _say(f"serving   {record.serving.name}{' (the stack itself)' if record.serving.is_own else ''}")
    _say(f"before    {record.before.name if record.before else 'none: contracted' if record.is_contracted else 'none'}")
    if record.move is None:
        _say("under way none")
    else:
        done = ", ".join(record.move.done) or "nothing yet"
        _say(f"under way {record.move.kind} of {record.move.to.name}; done: {done}")


@app.command(name="mark")
def mark_released(*, of: Annotated[str, typer.Option(help="The commit that was released.")] = "HEAD") -> None:
    """Keep what a release is made of, `previous` and `released.json`, which tests hold the next one to."""
    _say(f"{mark(of)} is the last release from now on")


@app.command()
def run(
    *,
    name: Annotated[str, typer.Option(help="How it is called.")],
    commit: Annotated[str, typer.Option(help="Its full hash.")],
    shift: Annotated[int, typer.Option(help="How far its ports are above the stack's own.")],
) -> None:
    """Run a release that is built beside the stack, until SIGTERM: what `deploy` starts."""
    stack = _platform()
    running.run(Beside(Release(name=name, commit=commit, shift=shift), stack), stack)


def _unless_refused(found: Move | Refused | None) -> Move:
    """Return the move; raises ReleaseFailed with the reason where there is none."""
    if isinstance(found, Refused):
        raise ReleaseFailed(found.reason)
    return found  # type: ignore[return-value]  # None only from who does not look at it


def main() -> None:
    """Run the program; an error that the reader can mend is printed without a traceback."""
    try:
        app()
    except (ReleaseFailed, EngineError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
