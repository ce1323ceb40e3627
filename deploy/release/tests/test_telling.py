"""What is read of the gateway's log."""

from pathlib import Path

from release.domain.watching import Answered
from release.telling import answered, size_of

LINE = '{"time":"2026-01-01T00:00:%02d+00:00","status":%d,"seconds":0.25,"route":"/v1/deposits"}\n'
BEGIN_S = 1_767_225_600


def test_requests_are_those_behind_a_place_and_a_time(tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    log.write_text(LINE % (1, 201) + LINE % (2, 503))
    place = size_of(log)
    with log.open("a") as more:
        more.write(LINE % (3, 201) + '{"time":"2026-01-')  # it is being written

    assert answered(log, from_byte=place) == [Answered(BEGIN_S + 3, 201, 250)]
    assert answered(log, from_byte=5, since_s=BEGIN_S + 2) == [
        Answered(BEGIN_S + 2, 503, 250),
        Answered(BEGIN_S + 3, 201, 250),
    ]


def test_a_log_that_is_not_there_yet_tells_of_nothing(tmp_path: Path) -> None:
    assert (size_of(tmp_path / "none"), answered(tmp_path / "none")) == (0, [])
