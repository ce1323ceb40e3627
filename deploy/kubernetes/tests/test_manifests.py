"""The files that are made are those that stand there, and a path finds its service."""

import re

import pytest

from gateway.documents import documented_routes
from gateway.routes import SERVICES, Route
from manifests.__main__ import FOLDER, made
from manifests.gateway_pods import http_routes, prefixes
from manifests.platform import KEYS, OPTIONAL_KEYS, SIZES, TO_CUSTOMERS, TO_SUPPLIERS, processes


def test_the_files_are_those_that_are_made() -> None:
    stale = [name for name, text in made().items() if (FOLDER / name).read_text() != text]

    assert stale == [], "not what the stack declares: run `python -m manifests files`"


def test_what_is_told_of_processes_is_of_processes_that_there_are() -> None:
    names = {process.name for _, process in processes()}

    assert {*SIZES, *TO_CUSTOMERS, *TO_SUPPLIERS} <= names
    assert {*KEYS, *OPTIONAL_KEYS} <= {service.name for service, _ in processes()}


def test_every_documented_path_leads_to_its_service() -> None:
    routes = documented_routes()
    owners = {beginning: service for service in SERVICES for beginning in prefixes(routes, service)}

    for route in routes:
        matching = [each for each in owners if f"{route.template}/".startswith(f"{each}/")]
        assert owners[max(matching, key=len)] == route.service, route.template


def test_the_public_reaches_nothing_else() -> None:
    rules = [
        rule
        for each in http_routes(documented_routes())
        if each["kind"] == "HTTPRoute"
        for rule in each["spec"]["rules"]
    ]
    reached = {match["path"]["value"] for rule in rules for match in rule["matches"]}

    public = re.compile(r"/v1/.+|/problems|/schemas|/reference/[a-z-]+/(docs|openapi\.json)")
    assert [path for path in reached if not public.fullmatch(path)] == []
    assert all(len(rule["matches"]) == 1 for rule in rules if "filters" in rule)


def test_a_beginning_is_no_longer_than_it_must_be() -> None:
    routes = [Route("/v1/a/b", "wallet", 0), Route("/v1/a/{id}/c", "wallet", 0), Route("/v1/d/e", "fraud", 0)]

    assert prefixes(routes, "wallet") == ["/v1/a"]
    assert prefixes(routes, "fraud") == ["/v1/d"]


@pytest.mark.parametrize("route", [Route("/v1/a", "fraud", 0), Route("/v1/a/{id}", "fraud", 0)])
def test_a_beginning_that_two_services_share_is_neither_s(route: Route) -> None:
    routes = [Route("/v1/a/b", "wallet", 0), route]

    assert prefixes(routes, "wallet") == ["/v1/a/b"]
