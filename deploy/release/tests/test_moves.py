"""The steps of a move, how it goes on after it was broken off, and what is refused."""

from dataclasses import replace

import msgspec
import pytest

from release.domain import moves
from release.domain.moves import Kind, Move, Record, Refused, Release, Step

BLUE = Release(name="blue", commit="b" * 40, shift=0, is_own=True)
GREEN = Release(name="green", commit="9" * 40, shift=moves.PORT_SHIFT)
AT_FIRST = Record(stack="1-1.0", serving=BLUE)


def deploying(*done: Step) -> Record:
    return moves.begun(AT_FIRST, Move(kind=Kind.DEPLOY, to=GREEN, done=done))


def deployed() -> Record:
    return moves.finished(deploying(*Step))


def test_a_first_deploy_takes_every_step_on_shifted_ports() -> None:
    move = moves.decide_deploy(AT_FIRST, name=GREEN.name, commit=GREEN.commit)

    assert isinstance(move, Move)
    assert move.to == GREEN
    assert moves.remaining(move) == list(Step)


def test_the_next_release_takes_the_ports_that_are_free() -> None:
    move = moves.decide_deploy(deployed(), name="third", commit="3" * 40)

    assert isinstance(move, Move)
    assert move.to == Release(name="third", commit="3" * 40, shift=0)


@pytest.mark.parametrize("count", range(len(Step)))
def test_a_deploy_that_was_broken_off_goes_on_behind_what_is_done(count: int) -> None:
    done = list(Step)[:count]
    move = moves.decide_deploy(deploying(*done), name=GREEN.name, commit=GREEN.commit)

    assert isinstance(move, Move)
    assert moves.remaining(move) == list(Step)[count:]
    assert moves.may_have_switched(move) == (Step.SMOKED in done)


def test_the_release_that_serves_is_not_deployed_again() -> None:
    found = moves.decide_deploy(AT_FIRST, name=BLUE.name, commit=BLUE.commit)

    assert found == Refused("blue serves already: name another commit")


def test_another_release_waits_until_the_one_under_way_is_there_or_undone() -> None:
    found = moves.decide_deploy(deploying(Step.BUILT), name="third", commit="3" * 40)

    assert isinstance(found, Refused)
    assert "python -m release deploy --to green" in found.reason


def test_a_rollback_leads_to_the_release_before_without_building_or_migrating() -> None:
    move = moves.decide_rollback(deployed())

    assert move == Move(kind=Kind.ROLLBACK, to=BLUE)
    assert moves.remaining(move) == [each for each in Step if each not in {Step.BUILT, Step.MIGRATED}]


def test_a_rollback_undoes_a_deploy_that_is_not_finished() -> None:
    assert moves.decide_rollback(deploying(Step.BUILT)) == deploying(Step.BUILT).move


def test_after_a_rollback_there_is_nothing_to_go_back_to() -> None:
    back = moves.decide_rollback(deployed())
    assert isinstance(back, Move)
    record = moves.finished(moves.begun(deployed(), replace(back, done=tuple(moves.steps_of(back)))))

    assert record.serving == BLUE
    assert isinstance(moves.decide_rollback(record), Refused)


def test_after_contract_there_is_no_way_back() -> None:
    found = moves.decide_rollback(moves.contracted(deployed()))

    assert isinstance(found, Refused)
    assert "contracted schema" in found.reason


def test_contract_is_refused_while_an_older_process_is_connected_or_a_move_is_under_way() -> None:
    assert moves.decide_contract(deployed(), []) is None
    assert isinstance(moves.decide_contract(deployed(), ["wallet-api@blue"]), Refused)
    assert isinstance(moves.decide_contract(deploying(), []), Refused)


def test_going_back_leaves_the_record_of_before() -> None:
    assert moves.gone_back(deploying(Step.BUILT, Step.MIGRATED)) == AT_FIRST


def test_the_record_is_read_as_it_was_written() -> None:
    record = moves.with_step(deploying(), Step.BUILT)

    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record
