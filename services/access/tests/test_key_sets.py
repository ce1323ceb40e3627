"""Key sets fetched from a URL: what is published of them, and what a source that fails or is hostile comes to."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from access.bootstrap import make_recorder
from access.config import AccessSettings
from access.domain.issuers import (
    KEPT_FOR,
    GoodKeys,
    Issuer,
    IssuerStatus,
    NoKeys,
    Polled,
    Polling,
    SameKeys,
    decide_polled,
)
from access.identities.issuer_rows import find_fetching
from access.maintenance.key_set_metrics import KeySetMetrics
from access.maintenance.key_sets import KeySetPolling
from contracts.access import ClaimMapping, IssuerChanged, IssuerKey
from contracts.scopes import Kind
from servicekit.access.key_sets import DOCUMENT_BYTES_MAX
from servicekit.outbound.addresses import Address
from servicekit.outbound.fetching import Fetcher
from servicekit.outbound.vetting import Vetting
from testkit.access import TENANT, Whole
from testkit.receiver import Post, Receiver, Reply, receiving
from testkit.tokens import Signer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, TWO = Signer("ES256", "one"), Signer("EdDSA", "two")
NO_ALG = {name: value for name, value in Signer("RS256", "three").jwk.items() if name != "alg"}


def document(*signers: Signer) -> bytes:
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()


class Nowhere:
    """DNS that leads inwards."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        del host, port
        return [ip_address("10.0.0.7")]


class Source:
    """A key set's source: answers *body* under *etag*, or whatever *reply* is."""

    def __init__(self) -> None:
        self.body = document(ONE)
        self.etag = '"1"'
        self.reply: Reply | None = None

    def __call__(self, post: Post) -> Reply:
        if self.reply is not None:
            return self.reply
        if post.headers.get("if-none-match") == self.etag:
            return Reply(304, body=b"")
        return Reply(200, {"etag": self.etag}, self.body)


class PolledIssuer:
    """An issuer whose keys are fetched from *source*."""

    def __init__(self, bench: Any, receiver: Receiver, source: Source, timeout_s: float) -> None:
        self.bench, self.receiver, self.source = bench, receiver, source
        fetcher = Fetcher(
            Vetting(Nowhere(), allow_loopback=True),
            bytes_max=DOCUMENT_BYTES_MAX,
            timeout_s=timeout_s,
            agent="test",
        )
        self.registry = CollectorRegistry()
        self.polling = KeySetPolling(bench.pool, make_recorder(Whole()), fetcher, KeySetMetrics(self.registry))
        self.id = UUID(int=0)

    async def register(self) -> None:
        wanted = {"name": "login", "issuer": "https://a/", "audience": "a", "kinds": ["user"]}
        made = await self.bench.post("issuers", wanted | {"key_set_url": self.receiver.url("/keys")})
        assert made.status_code == 201, made.text
        self.id = UUID(made.json()["id"])

    async def poll(self) -> list[str]:
        """Poll once, and return the kids that the issuer has then."""
        await self.polling.poll([(TENANT, self.id)])
        return [key["kid"] for key in (await self.bench.get(f"issuers/{self.id}")).json()["keys"]]

    async def told(self) -> list[list[str]]:
        return [
            [key.kid for key in event.keys] for event in await self.bench.events() if isinstance(event, IssuerChanged)
        ]

    async def row(self) -> Any:
        async with self.bench.pool.connection() as connection:
            return await connection.fetchrow("select * from access.issuer where id = $1", self.id)

    async def fetching(self) -> Any:
        return (await self.bench.get(f"issuers/{self.id}")).json()["fetching"]

    def fetches(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("access_key_set_fetches_total", {"outcome": outcome})

    async def age_failure(self, by: timedelta) -> None:
        async with self.bench.pool.connection() as connection:
            await connection.execute("update access.issuer set failing_since = failing_since - $1::interval", by)


@asynccontextmanager
async def polled(bench: Any, *, timeout_s: float = 10.0) -> AsyncIterator[PolledIssuer]:
    source = Source()
    async with receiving(source) as receiver:
        made = PolledIssuer(bench, receiver, source, timeout_s)
        await made.register()
        yield made


@pytest.mark.integration
async def test_a_set_is_fetched_told_and_asked_for_by_its_etag(bench: Any) -> None:
    async with polled(bench) as issuer:
        assert await issuer.poll() == ["one"]
        assert await issuer.poll() == ["one"]
        issuer.source.body, issuer.source.etag = document(ONE, TWO), '"2"'
        assert await issuer.poll() == ["one", "two"]
        issuer.source.body, issuer.source.etag = document(TWO), '"3"'
        assert await issuer.poll() == ["two"]

        assert [post.headers.get("if-none-match") for post in issuer.receiver.posts] == [None, '"1"', '"1"', '"2"']
        assert await issuer.told() == [[], ["one"], ["one", "two"], ["two"]]


HOSTILE = {
    "an error": (Reply(500), "status"),
    "a redirect": (Reply(302, {"location": "http://169.254.169.254/"}), "status"),
    "a megabyte": (Reply(200, body=b" " * 1_000_000), "too_large"),
    "a flood": (Reply(200, floods=True), "too_large"),
    "a private key": (Reply(200, body=json.dumps({"keys": [ONE.private_jwk]}).encode()), "key_set_private_key"),
    "no keys": (Reply(200, body=b'{"keys": []}'), "key_set_no_keys"),
    "a key without an algorithm": (
        Reply(200, body=json.dumps({"keys": [NO_ALG]}).encode()),
        "key_set_no_algorithm",
    ),
    "half a set": (Reply(200, body=document(ONE)[:-20]), "key_set_malformed"),
    "no HTTP": (Reply(raw=b"220 mail.example.com ESMTP\r\n"), "not_http"),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_source_that_fails_leaves_the_last_good_set_for_a_day(bench: Any, name: str) -> None:
    reply, failure = HOSTILE[name]
    async with polled(bench) as issuer:
        assert await issuer.poll() == ["one"]
        issuer.source.reply = reply
        assert await issuer.poll() == ["one"]
        row = await issuer.row()
        assert (row["failure"], row["failing_since"] is None) == (failure, False)

        await issuer.age_failure(timedelta(hours=23))
        assert await issuer.poll() == ["one"]
        await issuer.age_failure(timedelta(hours=1))
        assert await issuer.poll() == []
        assert await issuer.poll() == []
        issuer.source.reply = None
        assert await issuer.poll() == ["one"]
        assert (await issuer.row())["failing_since"] is None
        assert await issuer.told() == [[], ["one"], [], ["one"]]


@pytest.mark.integration
async def test_how_fetching_goes_is_shown_of_the_issuer_and_counted_of_all(bench: Any) -> None:
    async with polled(bench) as issuer:
        unknown = {"last_fetch_at": None, "last_success_at": None, "last_error": None, "failing_since": None}
        assert await issuer.fetching() == unknown | {"consecutive_failures": 0}
        await issuer.poll()
        good = await issuer.fetching()
        assert good == unknown | {
            "last_fetch_at": good["last_success_at"],
            "last_success_at": good["last_fetch_at"],
            "consecutive_failures": 0,
        }
        issuer.source.reply = Reply(500)
        await issuer.poll()
        await issuer.poll()
        failing = await issuer.fetching()
        assert failing["last_fetch_at"] > failing["failing_since"] > failing["last_success_at"]
        assert (failing["last_error"], failing["consecutive_failures"]) == ("status", 2)
        assert failing["last_success_at"] == good["last_success_at"]
        async with bench.pool.connection() as connection:
            age_s, count = await find_fetching(connection)
        assert (age_s > 0, count) == (True, 1)
        issuer.source.reply = None
        await issuer.poll()
        mended = await issuer.fetching()
        assert (mended["last_error"], mended["failing_since"], mended["consecutive_failures"]) == (None, None, 0)

        assert [issuer.fetches(outcome) for outcome in ("fetched", "not_modified", "status")] == [1, 1, 2]
        changed = {"issuer": "https://a/", "audience": "a", "kinds": ["user"], "key_set": json.loads(document(ONE))}
        assert (await bench.send("PUT", f"issuers/{issuer.id}", changed)).status_code == 200
        assert await issuer.fetching() is None
        async with bench.pool.connection() as connection:
            assert await find_fetching(connection) == (0.0, 0)


@pytest.mark.integration
async def test_a_source_that_says_nothing_is_given_up(bench: Any) -> None:
    async with polled(bench, timeout_s=0.2) as issuer:
        issuer.source.reply = Reply(hangs=True)
        assert await issuer.poll() == []
        assert (await issuer.row())["failure"] == "no_answer_in_time"


@pytest.mark.integration
async def test_an_address_that_turned_inwards_is_not_asked(bench: Any) -> None:
    async with polled(bench) as issuer:
        async with bench.pool.connection() as connection:
            await connection.execute("update access.issuer set key_set_url = 'https://keys.example.com/'")
        assert await issuer.poll() == []
        assert (await issuer.row())["failure"] == "url_refused"
        assert issuer.receiver.posts == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://10.0.0.1/keys", "url_forbidden_address"),
        ("https://169.254.169.254/latest", "url_forbidden_address"),
        ("https://[::ffff:10.0.0.1]/keys", "url_forbidden_address"),
        ("http://93.184.215.14/keys", "url_scheme"),
        ("https://user:password@example.com/", "url_userinfo"),
        ("https://2130706433/", "url_host"),
        ("file:///etc/passwd", "url_scheme"),
        ("keys", "url_malformed"),
    ],
)
async def test_a_url_inwards_changes_nothing_and_leaves_the_key_free(bench: Any, url: str, code: str) -> None:
    wanted = {"name": "login", "issuer": "https://a/", "audience": "a", "kinds": ["user"]}
    before = await bench.rows()
    refused = await bench.post("issuers", wanted | {"key_set_url": url}, key="k")

    assert refused.status_code == 422, refused.text
    assert [(each["pointer"], each["code"]) for each in refused.json()["errors"]] == [("/key_set_url", code)]
    assert await bench.rows() == before
    assert (await bench.post("issuers", wanted | {"key_set": json.loads(document(ONE))}, key="k")).status_code == 201


@pytest.mark.integration
async def test_a_refresh_makes_an_issuer_due(bench: Any) -> None:
    async with polled(bench) as issuer:
        async with bench.pool.connection() as connection:
            await connection.execute("update access.issuer set poll_at = now() + interval '1 hour'")
        assert (await bench.post(f"issuers/{issuer.id}/refresh")).status_code == 200
        async with bench.pool.connection() as connection:
            assert await connection.fetchval("select poll_at <= now() from access.issuer")


def test_loopback_is_for_development() -> None:
    with pytest.raises(ValueError, match="ACCESS_ALLOW_LOOPBACK"):
        AccessSettings(access_database_url="postgresql://127.0.0.1/x", mode="production", access_allow_loopback=True)


# -- the rule


KEYS = tuple(IssuerKey(kid=kid, alg="ES256", jwk={}) for kid in ("a", "b", "c"))
polls: st.SearchStrategy[Polled] = st.one_of(
    st.builds(
        GoodKeys,
        st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique_by=lambda k: k.kid).map(tuple),
        st.none() | st.just('"e"'),
    ),
    st.just(SameKeys()),
    st.just(NoKeys("status")),
)


@given(st.lists(st.tuples(st.integers(1, 20), polls), max_size=30))
def test_keys_are_the_last_good_ones_unless_a_day_has_passed_without(steps: list[tuple[int, Polled]]) -> None:
    issuer = Issuer(
        id=UUID(int=1),
        tenant_id=UUID(int=2),
        name="login",
        issuer="i",
        audience="a",
        status=IssuerStatus.ACTIVE,
        kinds=(Kind.USER,),
        claims=ClaimMapping(),
        max_lifetime_s=60,
        keys=(),
        key_set_url="https://example.com/",
        is_development=False,
        created_at=NOW,
        updated_at=NOW,
    )
    polling = Polling()
    failures = 0
    good: tuple[IssuerKey, ...] = ()
    failing_since: datetime | None = None
    now = NOW
    for hours, outcome in steps:
        now += timedelta(hours=hours)
        if isinstance(outcome, SameKeys) and polling.etag is None:
            continue  # nobody asked whether it changed
        issuer, polling = decide_polled(issuer, polling, outcome, now=now)
        if isinstance(outcome, NoKeys):
            failing_since, failures = failing_since or now, failures + 1
            good = () if now - failing_since >= KEPT_FOR else good
        else:
            failing_since, failures = None, 0
            good = outcome.keys if isinstance(outcome, GoodKeys) else good
        assert issuer.keys == good
        assert (polling.failing_since, polling.failures, polling.attempted_at) == (failing_since, failures, now)
        assert (polling.failure is None) == (failures == 0)
        assert issuer.keys or not good
