"""Where rates come from: documents read strictly, sources that fail or are hostile, and what is kept of them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from services.wallet.tests.exchanges import Given, rates_document, refreshed

from servicekit.maintenance import JobRun, LeaseLost
from servicekit.maintenance.leadership import Leadership
from servicekit.telemetry import Telemetry, Tracing
from testkit.databases import Database
from testkit.receiver import Reply, receiving
from wallet.bootstrap import rates as bootstrap_rates
from wallet.bootstrap.rates import open_refresh
from wallet.config import WalletSettings
from wallet.domain.fx import PublishedRate
from wallet.rates.documents import DOCUMENT_BYTES_MAX, RateDocument, RatesRefused, Refusal, parse_ecb, parse_json
from wallet.rates.judging import judge
from wallet.rates.sources import FileSource, NotFetched

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
ECB = """<?xml version="1.0" encoding="UTF-8"?>{dtd}
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
                 xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
  <gesmes:subject>Reference rates</gesmes:subject>
  <gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
  <Cube>{days}</Cube>
</gesmes:Envelope>"""
DAY = """<Cube time="2026-03-03">
  <Cube currency="USD" rate="1.0823"/><Cube currency="JPY" rate="162.60"/><Cube currency="ZZZ" rate="7"/>
</Cube>"""
OLDER = '<Cube time="2026-03-02"><Cube currency="USD" rate="1.1"/></Cube>'
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd">'
THOUSAND = "1" * 1_000


def ecb(days: str = DAY, dtd: str = "") -> bytes:
    return ECB.format(days=days, dtd=dtd).encode()


def json_of(rates: str, *, base: str = '"EUR"', as_of: str = '"2026-03-03T15:00:00Z"') -> bytes:
    return f'{{"base": {base}, "as_of": {as_of}, "rates": {rates}}}'.encode()


def test_the_ecbs_newest_day_is_read_and_what_is_no_currency_is_left_out() -> None:
    document = parse_ecb(ecb(OLDER + DAY))

    expected = {"USD": Decimal("1.0823"), "JPY": Decimal("162.60")}
    assert document == RateDocument("ecb", "EUR", datetime(2026, 3, 3, tzinfo=UTC), expected)


@pytest.mark.parametrize("rate", ['"1.0823"', "1.0823"])
def test_json_has_rates_as_strings_or_as_numbers_whose_digits_count(rate: str) -> None:
    document = parse_json(json_of(f'{{"USD": {rate}, "BHD": "0.4081", "EUR": 1}}'))

    expected = {"USD": Decimal("1.0823"), "BHD": Decimal("0.4081")}
    assert document == RateDocument("json", "EUR", datetime(2026, 3, 3, 15, tzinfo=UTC), expected)
    assert parse_json(json_of('{"USD": 1}', as_of='"2026-03-03"')).as_of == datetime(2026, 3, 3, tzinfo=UTC)


def rate_cube(rate: str) -> bytes:
    return ecb(f'<Cube time="2026-03-03"><Cube currency="USD" rate="{rate}"/></Cube>')


@pytest.mark.parametrize(
    "rate", ["NaN", "-1.2", "0", "0.0", "", "1e5", "Infinity", THOUSAND, f"1.{THOUSAND}", "\uff11"]
)
def test_a_rate_that_is_none_refuses_the_document(rate: str) -> None:
    for parse, body in ((parse_ecb, rate_cube(rate)), (parse_json, json_of(f'{{"USD": "{rate}"}}'))):
        with pytest.raises(RatesRefused) as refused:
            parse(body)
        assert refused.value.refusal is Refusal.BAD_RATE


@pytest.mark.parametrize(
    "body",
    [
        ecb(dtd=BOMB).replace(b"Reference rates", b"&c;"),
        ecb(dtd=OUTSIDE),
        ecb(dtd="<!DOCTYPE x>"),
        ecb(DAY[:-3]),
        ecb(""),
        ecb().replace(b"UTF-8", b"EBCDIC-7"),
        b"",
        b"\xff\xfe",
        b"<a>" * 200_000,
        b'{"rates": 1}',
    ],
)
def test_what_is_no_document_of_the_ecb_is_refused(body: bytes) -> None:
    with pytest.raises(RatesRefused) as refused:
        parse_ecb(body)
    assert refused.value.refusal is Refusal.MALFORMED


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"", Refusal.MALFORMED),
        (b"[]", Refusal.MALFORMED),
        (b"[" * 500_000, Refusal.MALFORMED),
        (json_of("[1]"), Refusal.MALFORMED),
        (json_of('{"USD": NaN}'), Refusal.MALFORMED),
        (json_of('{"USD": [1]}'), Refusal.BAD_RATE),
        (json_of(f'{{"USD": {THOUSAND}}}'), Refusal.BAD_RATE),
        (json_of('{"USD": -1}'), Refusal.BAD_RATE),
        (json_of('{"USD": 1}', base='"XYZ"'), Refusal.UNKNOWN_BASE),
        (json_of("{}"), Refusal.NO_RATES),
        (json_of('{"ZZZ": 1, "EUR": 1}'), Refusal.NO_RATES),
        (json_of('{"USD": 1}', as_of='"yesterday"'), Refusal.BAD_TIME),
        (json_of('{"USD": 1}', as_of='"2026-02-30"'), Refusal.BAD_TIME),
    ],
)
def test_what_is_no_json_of_rates_is_refused(body: bytes, refusal: Refusal) -> None:
    with pytest.raises(RatesRefused) as refused:
        parse_json(body)
    assert refused.value.refusal is refusal


def document(as_of: datetime, **rates: str) -> RateDocument:
    return RateDocument("ecb", "EUR", as_of, {currency: Decimal(rate) for currency, rate in rates.items()})


def test_what_jumps_and_what_is_older_is_not_taken() -> None:
    known = {"USD": PublishedRate(Decimal("1.00"), NOW), "JPY": PublishedRate(Decimal(100), NOW)}
    up = judge(document(NOW, USD="1.20", JPY="120.000001", BHD="9"), known, now=NOW, jump_ppm=200_000)
    down = judge(document(NOW, USD="0.80", JPY="79.999999"), known, now=NOW, jump_ppm=200_000)
    older = judge(document(NOW - timedelta(days=1), USD="1.01", BHD="9"), known, now=NOW, jump_ppm=200_000)

    assert (up.taken, up.jumped) == ({"USD": Decimal("1.20"), "BHD": Decimal(9)}, ("JPY",))
    assert (down.taken, down.jumped) == ({"USD": Decimal("0.80")}, ("JPY",))
    assert (older.taken, older.jumped) == ({"BHD": Decimal(9)}, ())
    with pytest.raises(RatesRefused):
        judge(document(NOW + timedelta(days=1, seconds=1), USD="1"), known, now=NOW, jump_ppm=0)


async def test_a_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "rates"
    path.write_bytes(b"x" * DOCUMENT_BYTES_MAX)
    assert len(await FileSource(path).fetch()) == DOCUMENT_BYTES_MAX
    path.write_bytes(b"x" * 20 * 1024 * 1024)
    for where, why in ((path, "too_large"), (tmp_path / "none", "cannot_read"), (tmp_path, "cannot_read")):
        with pytest.raises(NotFetched) as error:
            await FileSource(where).fetch()
        assert error.value.why == why


@pytest.fixture
async def app(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session of the app role."""
    connection = await asyncpg.connect(database.dsn_app)
    yield connection
    await connection.close()


async def kept(app: asyncpg.Connection) -> dict[str, Decimal]:
    rows = await app.fetch("select currency, rate from wallet.fx_rate order by currency")
    return {row["currency"]: row["rate"] for row in rows}


async def fetched(database: Database, app: asyncpg.Connection, url: str, form: str = "json") -> CollectorRegistry:
    """Fetch once from *url*, as an API would."""
    telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))
    settings = WalletSettings.model_validate(
        {"wallet_database_url": database.dsn_app, "wallet_rates_url": url, "wallet_rates_format": form}
    )
    async with open_refresh(settings, telemetry) as refresh:
        assert refresh is not None
        await refresh.refresh(JobRun(app, None))
    return telemetry.registry


def outcome(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value("wallet_rates_fetches_total", {"outcome": name})


@pytest.mark.integration
async def test_rates_are_fetched_over_http_and_from_a_file(
    database: Database, app: asyncpg.Connection, tmp_path: Path
) -> None:
    async with receiving(lambda _post: Reply(body=ecb())) as source:
        registry = await fetched(database, app, source.url("/daily.xml"), "ecb")
        assert "xml" in source.posts[0].headers["accept"]
    assert outcome(registry, "fetched") == 1
    assert await kept(app) == {"JPY": Decimal("162.60"), "USD": Decimal("1.0823")}

    path = tmp_path / "rates of today.json"
    path.write_bytes(rates_document({"USD": "1.09"}, source="desk"))
    await fetched(database, app, path.as_uri())
    assert await app.fetchval("select rate from wallet.fx_rate where source = 'desk'") == Decimal("1.09")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status=302, headers={"location": "http://127.0.0.1/elsewhere"}), "status"),
        (Reply(status=500), "status"),
        (Reply(floods=True), "too_large"),
        (Reply(body=b" " * 20 * 1024 * 1024), "too_large"),
        (Reply(hangs=True), "no_answer_in_time"),
        (Reply(raw=b"nonsense"), "not_http"),
        (Reply(body=b"{}"), "malformed"),
    ],
)
async def test_a_source_that_fails_or_is_hostile_is_alarmed_and_leaves_the_rates_alone(
    database: Database, app: asyncpg.Connection, reply: Reply, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refreshed(database, Given(rates_document({"USD": "1.08"})))
    monkeypatch.setattr(bootstrap_rates, "FETCH_S", 0.5 if reply.hangs else 60.0)
    async with receiving(lambda _post: reply) as source:
        registry = await fetched(database, app, source.url())

        assert len(source.posts) == 1, "nothing is followed"
    assert (outcome(registry, why), outcome(registry, "fetched")) == (1, None)
    assert await kept(app) == {"USD": Decimal("1.08")}


@pytest.mark.integration
async def test_an_address_that_is_not_public_is_not_fetched(database: Database, app: asyncpg.Connection) -> None:
    registry = await fetched(database, app, "https://169.254.169.254/latest/meta-data")

    assert outcome(registry, "url_refused") == 1


@pytest.mark.integration
async def test_a_rate_that_jumps_is_refused_and_alarmed_until_the_bound_is_raised(
    database: Database, app: asyncpg.Connection
) -> None:
    await refreshed(database, Given(rates_document({"USD": "1.00", "JPY": "100"})))
    jumped = Given(rates_document({"USD": "10", "JPY": "101"}, age=timedelta()))
    registry = await refreshed(database, jumped)

    assert registry.get_sample_value("wallet_rates_jumps_total") == 1
    assert await kept(app) == {"JPY": Decimal(101), "USD": Decimal("1.00")}
    await refreshed(database, jumped, jump_ppm=10_000_000)
    assert await kept(app) == {"JPY": Decimal(101), "USD": Decimal(10)}


@pytest.mark.integration
async def test_who_lost_its_lease_while_it_fetched_writes_nothing(database: Database, app: asyncpg.Connection) -> None:
    slow, other = (Leadership("refresh_rates", owner=owner, lease_s=60) for owner in ("slow", "other"))
    assert await slow.take(app)
    await slow.release(app)
    assert await other.take(app)

    with pytest.raises(LeaseLost):
        await refreshed(database, Given(rates_document()), leadership=slow)
    assert await kept(app) == {}


@pytest.mark.integration
@pytest.mark.parametrize("rate", ["NaN", "0", "-1", "Infinity"])
async def test_the_database_takes_no_rate_that_is_none(app: asyncpg.Connection, rate: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await app.execute(
            "insert into wallet.fx_rate values ('a', 'EUR', 'USD', $1, clock_timestamp(), clock_timestamp())",
            Decimal(rate),
        )
