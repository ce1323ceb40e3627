"""Endpoints and deliveries are of every owner: who acts for some alone reaches none of them."""

import pytest

from contracts.ids import new_id
from contracts.scopes import Kind
from servicekit.access.admission import EVERY_OWNER
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.notifications_api import MakeBench

pytestmark = pytest.mark.integration

URL = "http://127.0.0.1:8080/hooks"


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.OPERATOR])
async def test_who_acts_for_some_owners_alone_is_refused(make_bench: MakeBench, pool: Pool, kind: Kind) -> None:
    limited = principal_of("limited", kind=kind, acts_for=frozenset({"owner"}))
    async with make_bench() as bench, make_bench(limited) as other:
        endpoint = await bench.client.endpoint(URL)
        await bench.project(bench.stream.opened(wallet_in(3)))
        (delivery,) = await bench.client.deliveries()
        path = f"webhook-endpoints/{endpoint['id']}"
        answers = [
            await other.client.get("webhook-endpoints"),
            await other.client.get(path),
            await other.client.get(f"webhook-endpoints/{new_id()}"),
            await other.client.post("webhook-endpoints", {"url": URL, "wallet_ids": [str(wallet_in(3))]}),
            await other.client.http.patch(f"/v1/{path}", json={"description": "mine"}),
            await other.client.http.delete(f"/v1/{path}"),
            *[await other.client.post(f"{path}/{verb}") for verb in ("pause", "resume", "test", "rotate-secret")],
            await other.client.post(f"{path}/recover", {"since": "2020-01-01T00:00:00Z"}),
            await other.client.get("deliveries"),
            await other.client.get(f"deliveries/{delivery['id']}"),
            await other.client.post(f"deliveries/{delivery['id']}/resend"),
        ]
        told = {(answer.status_code, answer.json()["code"], answer.json()["kind"]) for answer in answers}
        assert told == {(403, "forbidden", kind.value)}
        document = (await bench.client.http.get("/openapi.json")).json()
        operations = [each for path in document["paths"].values() for each in path.values() if "x-access" in each]
        assert len(answers) - 1 == len(operations), "one is asked twice, every other once"
        assert {each["x-access"]["owned"] for each in operations} == {EVERY_OWNER}
        assert await bench.client.endpoint_now(endpoint["id"]) == {
            name: value for name, value in endpoint.items() if name != "secret"
        }
    async with pool.connection() as connection:
        assert await connection.fetchval("select count(*) from notifications.idempotency") == 1
