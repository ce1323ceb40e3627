"""A real nginx between a client and APIs: what it passes on, what it answers itself, what it does when one dies."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from engines.errors import EngineError
from gateway.engine import TEMPLATE, Gateway
from gateway.rendering import Behind
from testkit.backends import backends, connected

pytestmark = pytest.mark.integration


class MakeGateway(Protocol):
    def __call__(self, behind: Behind, *, template: Path = TEMPLATE) -> Gateway: ...


NOWHERE = Behind(port=0, apis={})


def problem(answer_body: str) -> str:
    document = json.loads(answer_body)
    assert document["type"] == f"/problems/{document['code']}"
    return str(document["code"])


async def test_a_request_goes_to_the_service_that_owns_its_path(make_gateway: MakeGateway) -> None:
    services = ("access", "wallet", "transaction-history", "fraud", "notifications")
    async with backends(*services) as apis:
        gateway = make_gateway(Behind(port=0, apis={each.name: [each.address] for each in apis}))
        async with connected(gateway.port) as client:
            asked = {
                "/v1/whoami": "access",
                "/v1/wallets?limit=1": "wallet",
                "/v1/history/search?q=/v1/wallets": "transaction-history",
                "/v1/risk/rules": "fraud",
                "/v1/webhook-endpoints": "notifications",
                "/reference/fraud/openapi.json": "fraud",
                "/reference/transaction-history/docs": "transaction-history",
            }
            for target, service in asked.items():
                assert (await client.ask(target)).body == service, target
    targets = [lines[0].split()[1] for each in apis for lines in each.reached]
    assert "/openapi.json" in targets
    assert "/docs" in targets


async def test_a_path_is_passed_on_as_it_came(make_gateway: MakeGateway) -> None:
    async with backends("wallet") as (wallet,):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [wallet.address]}))
        async with connected(gateway.port) as client:
            for target in ("/v1/owners/acct%2F1", "/v1/owners/a%20b%3Fc?x=%2F..%2F&y=//"):
                assert (await client.ask(target)).status == 200
                assert wallet.reached[-1][0] == f"GET {target} HTTP/1.1"


async def test_a_path_that_could_mean_another_is_refused(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(NOWHERE)
    unclear = ("/v1//wallets", "/v1/x/../wallets", "/v1/x/%2e%2E/wallets", "/v1/./a", "/v1/owners/..%2f..%2Fmetrics")
    async with connected(gateway.port) as client:
        for target in unclear:
            answer = await client.ask(target)
            assert (answer.status, problem(answer.body)) == (400, "unclear_path"), target


async def test_what_is_for_operators_or_nobody_does_not_exist(make_gateway: MakeGateway) -> None:
    hidden = ("/metrics", "/health/live", "/health/deep", "/%6detrics", "/nothing", "/v1/nothing", "/docs")
    async with backends("wallet") as (wallet,):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [wallet.address]}))
        async with connected(gateway.port) as client:
            for target in hidden:
                answer = await client.ask(target)
                assert (answer.status, problem(answer.body)) == (404, "not_found"), target
    assert wallet.reached == []


async def test_a_body_may_be_as_large_as_its_route_takes(make_gateway: MakeGateway) -> None:
    async with backends("wallet") as (wallet,):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [wallet.address]}))
        for path, most in (("/v1/deposits", 65_536), ("/v1/batches", 2_097_152)):
            async with connected(gateway.port) as client:
                assert (await client.ask(path, method="POST", body=b"x" * most)).status == 200
            async with connected(gateway.port) as client:
                head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {most + 1}\r\n\r\n"
                answer = await client.send(head.encode())
                assert (answer.status, problem(answer.body)) == (413, "body_too_large")
    assert len(wallet.reached) == 2


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        ("Content-Length: 1\r\nContent-Length: 2", 400, "malformed_http"),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400, "malformed_http"),
        (f"X-Large: {'x' * 65_536}", 431, "head_too_large"),
    ],
    ids=["two lengths", "length and chunks", "a large header"],
)
async def test_what_smuggles_is_refused(make_gateway: MakeGateway, head: str, status: int, code: str) -> None:
    async with backends("wallet") as (wallet,):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [wallet.address]}))
        async with connected(gateway.port) as client:
            answer = await client.send(f"POST /v1/deposits HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode())

    assert (answer.status, problem(answer.body)) == (status, code)
    assert wallet.reached == []


async def test_a_url_that_is_too_long_is_refused(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(NOWHERE)
    async with connected(gateway.port) as client:
        answer = await client.ask(f"/v1/wallets?q={'x' * 20_000}")

    assert (answer.status, problem(answer.body)) == (414, "uri_too_long")


@pytest.mark.parametrize(
    ("trusted", "told"),
    [
        ((), "127.0.0.1"),
        (("127.0.0.1",), "198.51.100.7"),
        (("127.0.0.1", "198.51.100.0/24"), "203.0.113.9"),
    ],
    ids=["nobody is trusted", "the peer", "two proxies"],
)
async def test_the_client_is_the_last_hop_that_is_no_proxy_of_ours(
    make_gateway: MakeGateway, trusted: tuple[str, ...], told: str
) -> None:
    async with backends("wallet") as (wallet,):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [wallet.address]}, trusted=trusted))
        async with connected(gateway.port) as client:
            await client.ask("/v1/wallets", "X-Forwarded-For: 203.0.113.9, 198.51.100.7", "Forwarded: for=203.0.113.9")

    assert wallet.head["x-forwarded-for"] == told
    assert "forwarded" not in wallet.head


async def test_a_request_keeps_its_id_or_is_given_one(make_gateway: MakeGateway) -> None:
    async with backends("wallet") as (wallet,):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [wallet.address]}))
        async with connected(gateway.port) as client:
            await client.ask("/v1/wallets", "Request-Id: mine-1")
            assert wallet.head["request-id"] == "mine-1"
            await client.ask("/v1/wallets", "Request-Id: a b")
            assert len(wallet.head["request-id"]) == 32
            answer = await client.ask("/metrics", "Request-Id: mine-2")
            assert answer.headers["request-id"] == "mine-2"


async def test_a_request_whose_instance_dies_goes_to_another(make_gateway: MakeGateway) -> None:
    async with backends("one", "two") as (one, two):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [one.address, two.address]}))
        async with connected(gateway.port) as client:
            one.drops = 1
            answers = [
                await client.ask("/v1/deposits", "Idempotency-Key: k", method="POST", body=b"{}") for _ in range(4)
            ]
    assert [answer.status for answer in answers] == [200] * 4
    assert one.drops == 0, "none of them died with its instance"


async def test_without_non_idempotent_a_post_dies_with_its_instance(make_gateway: MakeGateway, tmp_path: Path) -> None:
    """The bug that the test before it is there to find."""
    planted = tmp_path / "nginx.conf.template"
    planted.write_text(TEMPLATE.read_text().replace("error timeout non_idempotent;", "error timeout;"))
    async with backends("one", "two") as (one, two):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [one.address, two.address]}), template=planted)
        async with connected(gateway.port) as client:
            one.drops = 1
            answers = [
                await client.ask("/v1/deposits", "Idempotency-Key: k", method="POST", body=b"{}") for _ in range(4)
            ]
    assert [answer.status for answer in answers].count(502) == 1


async def test_a_request_that_dies_with_two_instances_may_be_repeated(make_gateway: MakeGateway) -> None:
    async with backends("one", "two") as (one, two):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [one.address, two.address]}))
        async with connected(gateway.port) as client:
            one.drops = two.drops = 1
            answer = await client.ask("/v1/deposits", "Idempotency-Key: k", method="POST", body=b"{}")
    assert (answer.status, problem(answer.body)) == (502, "gateway_unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_without_any_instance_the_gateway_says_so(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(NOWHERE)
    async with connected(gateway.port) as client:
        answer = await client.ask("/v1/wallets")

    assert (answer.status, problem(answer.body)) == (502, "gateway_unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


async def test_problems_and_schemas_are_kept_and_shown_while_no_service_answers(make_gateway: MakeGateway) -> None:
    async with backends("fraud") as (fraud,):
        gateway = make_gateway(Behind(port=0, apis={"fraud": [fraud.address]}))
        async with connected(gateway.port) as client:
            shown = [await client.ask("/problems/not_found") for _ in range(2)]
    async with connected(gateway.port) as client:
        shown.append(await client.ask("/problems/not_found"))

    assert [each.body for each in shown] == ["fraud"] * 3
    assert len(fraud.reached) == 1
    assert shown[0].headers["cache-control"] == "public, max-age=300"


def told_figures(gateway: Gateway) -> dict[str, float]:
    """Return what the machine's exporter shows of *gateway*."""
    lines = [line for file in gateway.figures.glob("*.prom") for line in file.read_text().splitlines()]
    return {name: float(value) for name, value in (line.split(" ") for line in lines if not line.startswith("#"))}


async def test_a_reload_leaves_a_kept_connection_its_next_request(make_gateway: MakeGateway) -> None:
    async with backends("blue", "green") as (blue, green):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [blue.address]}))
        async with connected(gateway.port) as kept:
            assert (await kept.ask("/v1/wallets")).body == "blue"
            started = told_figures(gateway)
            gateway.switch(replace(gateway.behind, apis={"wallet": [green.address]}))
            assert list(told_figures(gateway).values()) > list(started.values())
            assert (await kept.ask("/v1/wallets")).status == 200
            async with connected(gateway.port) as client:
                assert (await client.ask("/v1/wallets")).body == "green"


async def test_a_configuration_that_nginx_does_not_take_changes_nothing(make_gateway: MakeGateway) -> None:
    async with backends("blue") as (blue,):
        gateway = make_gateway(Behind(port=0, apis={"wallet": [blue.address]}))
        before = gateway.configuration.read_text()
        with pytest.raises(EngineError, match="what ran before goes on"):
            gateway.switch(replace(gateway.behind, apis={"wallet": ["no such place"]}))
        async with connected(gateway.port) as client:
            assert (await client.ask("/v1/wallets")).body == "blue"

    assert gateway.configuration.read_text() == before
    assert set(told_figures(gateway)) == {"gateway_switched_timestamp_seconds", "gateway_refused_timestamp_seconds"}


async def test_a_log_line_tells_the_route_and_nothing_of_the_path(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(NOWHERE)
    async with connected(gateway.port) as client:
        await client.ask("/v1/history/downloads/secret-token?secret=1", "Request-Id: of-this-test")
    gateway.stop()  # what is buffered is written

    lines = [json.loads(line) for line in gateway.requests_log.read_text().splitlines()]
    (line,) = (each for each in lines if each["request_id"] == "of-this-test")
    assert (line["route"], line["status"]) == ("/v1/history/downloads/{token}", 502)
    assert "secret" not in gateway.requests_log.read_text()
    assert "secret" not in gateway.log.read_text()
