"""Paths are split as they were sent and decoded afterwards, alike by both engines."""

import pytest

from servicekit.http.route import Engine
from testkit.route_bench import KEY, Bench, path_of


def place(bench: Bench, engine: Engine, owner: str, thing: str) -> dict[str, str]:
    answer = bench.client.post(path_of(engine, f"/owners/{owner}/things/{thing}/place"), headers=KEY)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("ann", "ann"),
        ("acct%2F1", "acct/1"),
        ("acct%2f1", "acct/1"),
        ("%2F", "/"),
        ("%252F", "%2F"),
        ("100%25", "100%"),
        ("a%2525b", "a%25b"),
        ("%C3%A9%2F", "\u00e9/"),
        ("a%20b%0Ac", "a b\nc"),
        ("a%3Fb%23c", "a?b#c"),
        ("{owner}", "{owner}"),
    ],
)
def test_a_segment_is_one_text_whatever_it_holds(bench: Bench, engine: Engine, sent: str, text: str) -> None:
    assert place(bench, engine, sent, "x") == {"owner": text, "thing": "x"}
    assert place(bench, engine, "x", sent) == {"owner": "x", "thing": text}


@pytest.mark.parametrize(
    "rest",
    [
        "/owners/acct/1/things/x/place",
        "/owners//things/x/place",
        "/owners/ann%2Fthings/x/place",
        "/owners/ann/things/x/place/",
        "/owners/ann/things/x/move",
        "/large%2F",
        "%2Flarge",
    ],
)
def test_an_encoded_slash_divides_nothing_and_a_plain_one_always_does(bench: Bench, engine: Engine, rest: str) -> None:
    answer = bench.client.post(path_of(engine, rest), headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_letter_of_the_path_may_be_encoded(bench: Bench, engine: Engine) -> None:
    path = path_of(engine, "/l%61rge")

    assert bench.client.post(path, json={"name": "a"}, headers=KEY).status_code == 200
    assert bench.client.get(path).headers["allow"] == "POST"


def test_a_problem_names_the_path_and_a_figure_the_route(bench: Bench, engine: Engine) -> None:
    answer = bench.client.post(path_of(engine, "/owners/acct%2F1/things/x/place"))

    assert answer.json()["instance"] == path_of(engine, "/owners/acct/1/things/x/place")
    assert bench.count(path_of(engine, "/owners/{owner}/things/{thing}/place"), 400) == 1


def test_a_path_with_parameters_names_its_method(bench: Bench, engine: Engine) -> None:
    answer = bench.client.get(path_of(engine, "/owners/acct%2F1/things/x/place"))

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
