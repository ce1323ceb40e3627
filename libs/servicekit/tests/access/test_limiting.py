"""Limits on abuse at admission: what a caller may spend, and what it is told."""

import pytest

from contracts.ids import new_id
from servicekit.access.admission import (
    Limited,
)
from testkit.authority_bench import NOW, READS, Bench, client, known_key
from testkit.identities import TestIssuer, rates_event

pytestmark = pytest.mark.integration


async def test_an_address_of_many_refusals_is_held_up_before_anything_is_verified(bench: Bench) -> None:
    key = await known_key(bench)
    await bench.admit(key.text)
    for _ in range(60):
        assert await bench.code("wpk_nonsense") == "unauthenticated"

    with pytest.raises(Limited) as limited:
        await bench.admit("wpk_nonsense")
    assert limited.value.retry_after_s is not None
    await bench.admit(key.text)  # who is known by heart is not held up
    await bench.admit((await known_key(bench)).text, peer="192.0.2.2")


async def test_a_user_is_limited_and_told_so(bench: Bench) -> None:
    issuer = TestIssuer()
    await bench.tell(issuer.event())
    given = {b"authorization": f"Bearer {issuer.token('alice', at=NOW)}".encode()}
    told = [(await bench.authority.admit(given, client("192.0.2.1"), READS)).headers for _ in range(100)]
    assert told[0] == [(b"ratelimit-policy", b'"user";q=100;w=2'), (b"ratelimit", b'"user";r=99;t=1')]

    with pytest.raises(Limited) as limited:
        await bench.authority.admit(given, client("192.0.2.1"), READS)

    assert (limited.value.retry_after_s, limited.value.headers[0][0]) == (1, b"ratelimit-policy")
    other = {b"authorization": f"Bearer {issuer.token('bob', at=NOW)}".encode()}
    await bench.authority.admit(other, client("192.0.2.1"), READS)


async def test_a_batch_costs_its_commands_and_a_debit_its_wallets(bench: Bench) -> None:
    issuer, wallet = TestIssuer(), new_id()
    await bench.tell(issuer.event())
    given = {b"authorization": f"Bearer {issuer.token('alice', at=NOW)}".encode()}
    allowance = (await bench.authority.admit(given, client("192.0.2.1"), READS)).allowance

    with pytest.raises(Limited) as limited:
        allowance.spend(1_000)
    assert limited.value.retry_after_s is None, "no repeat can be admitted"
    for _ in range(40):
        allowance.debit(wallet)
    with pytest.raises(Limited):
        allowance.debit(wallet)
    allowance.debit(new_id())


async def test_a_tenants_own_rates_are_known(bench: Bench) -> None:
    issuer = TestIssuer()
    await bench.tell(issuer.event(), rates_event({"user": (5, 10)}))
    given = {b"authorization": f"Bearer {issuer.token('alice', at=NOW)}".encode()}

    told = (await bench.authority.admit(given, client("192.0.2.1"), READS)).headers

    assert told[0] == (b"ratelimit-policy", b'"user";q=10;w=2')
