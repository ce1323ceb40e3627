"""Names are looked up without waiting for one another, and no tenant's names hold another's up."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from contracts.ids import new_id
from servicekit.outbound.addresses import Address
from servicekit.outbound.resolver import DnsResolver
from servicekit.outbound.targets import UrlRefusal, UrlRefused
from servicekit.outbound.vetting import LOOKUPS_PER_TENANT, Vetting
from testkit.name_server import serving_names

PUBLIC = "93.184.215.14"
HUNG = 300
"""More than any number of threads that somebody might think of."""


def answer(name: str) -> list[str] | None:
    if name.endswith("tarpit.example.com"):
        return None
    return [PUBLIC, "10.0.0.7"] if name == "hooks.example.com" else []


async def test_look_ups_that_hang_hold_no_other_up() -> None:
    async with serving_names(answer) as server:
        resolver = DnsResolver([f"127.0.0.1:{server.port}"])
        hung = [asyncio.create_task(resolver.resolve(f"{n}.tarpit.example.com", 443)) for n in range(HUNG)]
        while len(server.asked) < HUNG:  # noqa: ASYNC110  they come one by one
            await asyncio.sleep(0.01)

        assert await resolver.resolve("hooks.example.com", 443) == [ip_address(PUBLIC), ip_address("10.0.0.7")]
        assert not any(task.done() for task in hung)
        await resolver.aclose()
        ended = await asyncio.gather(*hung, return_exceptions=True)
    assert {getattr(each, "refusal", each) for each in ended} == {UrlRefusal.UNRESOLVABLE}


async def test_the_hosts_file_comes_first_and_a_name_is_no_number() -> None:
    async with serving_names(answer) as server:
        resolver = DnsResolver([f"127.0.0.1:{server.port}"])
        assert (await resolver.resolve("localhost", 443))[0] == ip_address("127.0.0.1")
        assert server.asked == []
        for name in ("nowhere.example.com", "2130706433", "0x7f.1"):
            with pytest.raises(UrlRefused) as caught:
                await resolver.resolve(name, 443)
            assert caught.value.refusal is UrlRefusal.UNRESOLVABLE
        assert set(server.asked) == {"nowhere.example.com", "2130706433", "0x7f.1"}, "as they are, without a domain"
        await resolver.aclose()


class Hanging:
    """DNS that never answers for one host."""

    def __init__(self) -> None:
        self.hung = 0

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        del port
        if host != "hooks.example.com":
            self.hung += 1
            await asyncio.Event().wait()
        return [ip_address(PUBLIC)]


async def test_a_tenants_look_ups_wait_for_its_own_alone() -> None:
    resolver, one, other = Hanging(), new_id(), new_id()
    vetting = Vetting(resolver, allow_loopback=False, lookup_s=0.2)
    hung = [asyncio.create_task(vetting.vet("https://tarpit.example.com/", one)) for _ in range(2 * LOOKUPS_PER_TENANT)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert resolver.hung == LOOKUPS_PER_TENANT

    _, addresses = await vetting.vet("https://hooks.example.com/", other)
    assert addresses == [ip_address(PUBLIC)]
    ended = await asyncio.gather(*hung, return_exceptions=True)
    assert {getattr(each, "refusal", each) for each in ended} == {UrlRefusal.UNRESOLVABLE}, "each by its own deadline"
    assert (await vetting.vet("https://hooks.example.com/", one))[1] == [ip_address(PUBLIC)], "its turns are free again"
