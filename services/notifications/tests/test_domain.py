"""The pure parts: addresses, URLs, the schedule, signatures, bodies, encrypted secrets, settings."""

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from contracts.ids import new_id
from notifications.config import DEVELOPMENT_KEY, NotificationsSettings
from notifications.domain.outcomes import (
    AttemptOutcome,
    Delivered,
    DisabledReason,
    Exhausted,
    Policy,
    RetryLater,
    disabled_because,
    next_step,
    outcome_of_status,
)
from notifications.domain.pacing import BURST, INTERVAL, pay
from notifications.domain.schedule import DRAW_MAX, RETRY_AFTER_MS_MAX, retry_after_ms_of, retry_delay_ms
from notifications.domain.signing import signed_headers
from notifications.endpoints.encryption import EncryptionKeysError, SecretCipher, parse_keys
from notifications.sending.sender_http import printable
from servicekit.outbound.addresses import Forbidden, forbidden_because, is_loopback
from servicekit.outbound.targets import UrlRefusal, UrlRefused, check_addresses, parse_target
from servicekit.settings import Mode

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = Policy(delays_ms=(5_000, 300_000), disable_after=timedelta(days=5))

ipv4 = st.ip_addresses(v=4)
ipv6 = st.ip_addresses(v=6)


# -- addresses


@given(ipv4)
@example(IPv4Address("127.0.0.1"))
@example(IPv4Address("100.64.0.1"))
def test_an_ipv4_address_that_is_not_global_is_forbidden(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert forbidden_because(address) is not None


@given(ipv4)
@example(IPv4Address("93.184.215.14"))
def test_every_form_that_carries_an_ipv4_address_is_forbidden(address: IPv4Address) -> None:
    number = int(address)
    carriers = (
        0xFFFF_0000_0000 | number,  # mapped
        number,  # compatible
        0xFFFF_0000_0000_0000 | number,  # translated
        (0x0064_FF9B << 96) | number,  # NAT64
        (0x0064_FF9B_0001 << 80) | number,  # NAT64, local
        (0x2002 << 112) | number << 80,  # 6to4
        (0x2001_0000 << 96) | number ^ 0xFFFF_FFFF,  # Teredo
    )
    assert all(forbidden_because(IPv6Address(carrier)) is not None for carrier in carriers)


@given(ipv6)
@example(IPv6Address("2606:2800:21f:cb07::1"))
def test_an_ipv6_address_is_reached_only_where_both_agree(address: IPv6Address) -> None:
    if forbidden_because(address) is None:
        assert address.is_global
        assert not address.is_multicast
        assert int(address) >> 125 == 1, "only 2000::/3 is given out"


def test_what_is_public_is_reached() -> None:
    for text in ("93.184.215.14", "8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:2800:21f:cb07::1", "2a00:1450::1"):
        assert forbidden_because(ip_address(text)) is None, text


def test_why_is_told() -> None:
    assert forbidden_because(ip_address("169.254.169.254")) is Forbidden.LINK_LOCAL
    assert forbidden_because(ip_address("64:ff9b::a9fe:a9fe")) is Forbidden.TRANSLATED
    assert is_loopback(ip_address("::1"))
    assert not is_loopback(ip_address("::ffff:127.0.0.1"))


# -- URLs


@given(st.text(max_size=40), st.booleans())
@example("2130706433", False)
@example("0x7f.1", True)
@example("\uff11\uff12\uff17.0.0.1", False)
@example("127.0.0.1.", False)
def test_a_host_that_the_system_takes_for_a_number_is_no_name(host: str, allow_loopback: bool) -> None:  # noqa: FBT001
    """What the resolver would turn into an address without asking anybody is refused, or is the address as written."""
    try:
        target = parse_target(f"https://{host}/", allow_loopback=allow_loopback)
    except UrlRefused:
        return
    try:
        number = socket.getaddrinfo(target.host, None, flags=socket.AI_NUMERICHOST)[0][4][0]
    except (socket.gaierror, UnicodeError):
        assert target.address is None
    else:
        assert target.address == ip_address(str(number))


@given(ipv4 | ipv6)
def test_a_literal_address_is_judged_like_a_resolved_one(address: IPv4Address | IPv6Address) -> None:
    text = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    target = parse_target(f"https://{text}/", allow_loopback=False)
    assert target.address == address
    if forbidden_because(address) is not None:
        with pytest.raises(UrlRefused) as caught:
            check_addresses(target, [address], allow_loopback=False)
        assert caught.value.refusal is UrlRefusal.ADDRESS


@given(st.lists(ipv4 | ipv6, min_size=1, max_size=5), st.integers(0, 4))
def test_one_forbidden_address_refuses_all(addresses: list[IPv4Address | IPv6Address], place: int) -> None:
    target = parse_target("https://hooks.example.com/", allow_loopback=False)
    addresses.insert(min(place, len(addresses)), IPv4Address("10.0.0.1"))
    with pytest.raises(UrlRefused):
        check_addresses(target, addresses, allow_loopback=False)


def test_development_may_reach_this_machine_and_no_other_without_tls() -> None:
    target = parse_target("http://localhost:8080/a?b", allow_loopback=True)
    check_addresses(target, [ip_address("127.0.0.1")], allow_loopback=True)
    assert (target.host_header, target.path_and_query) == ("localhost:8080", "/a?b")
    for address, refusal in (("10.0.0.1", UrlRefusal.ADDRESS), ("93.184.215.14", UrlRefusal.SCHEME)):
        with pytest.raises(UrlRefused) as caught:
            check_addresses(target, [ip_address(address)], allow_loopback=True)
        assert caught.value.refusal is refusal
    with pytest.raises(UrlRefused):
        parse_target("http://localhost:8080/", allow_loopback=False)


def test_a_url_is_taken_apart() -> None:
    target = parse_target("HTTPS://Hooks.Example.COM:8443", allow_loopback=False)
    assert (target.scheme, target.host, target.port, target.path_and_query) == (
        "https",
        "hooks.example.com",
        8443,
        "/",
    )
    assert parse_target("https://[2606::1]:443/", allow_loopback=False).host_header == "[2606::1]"


# -- the schedule


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=12), st.integers(1, 20), st.integers(0, DRAW_MAX))
def test_a_delay_lies_within_its_step(delays_ms: list[int], failures: int, draw: int) -> None:
    delay_ms = retry_delay_ms(delays_ms, failures, draw=draw)
    if failures > len(delays_ms):
        assert delay_ms is None
    else:
        assert delay_ms is not None
        assert 0 <= delay_ms <= delays_ms[failures - 1]


@given(st.text(max_size=60))
@example("99999999999999999999")
@example("Sat, 21 Nov 2026 12:00:30 GMT")
@example("-5")
@example("٣")
def test_whatever_a_receiver_asks_for_is_bounded(value: str) -> None:
    asked_ms = retry_after_ms_of(value, now=NOW)
    assert asked_ms is None or 0 <= asked_ms <= RETRY_AFTER_MS_MAX


def test_a_receiver_asks_in_seconds_or_for_an_instant() -> None:
    assert retry_after_ms_of("120", now=NOW) == 120_000
    assert retry_after_ms_of("Sat, 21 Nov 2026 12:00:30 GMT", now=NOW) == 30_000
    assert retry_after_ms_of("Sat, 21 Nov 2026 11:00:00 GMT", now=NOW) == 0
    assert retry_after_ms_of("soon", now=NOW) is None
    assert retry_after_ms_of("999999999", now=NOW) == RETRY_AFTER_MS_MAX
    assert retry_delay_ms((1_000,), 1, draw=DRAW_MAX, retry_after_ms=5_000) == 5_000


def test_each_outcome_has_its_next_step() -> None:
    def step(outcome: AttemptOutcome, failures: int) -> object:
        return next_step(outcome, failures=failures, policy=POLICY, draw=DRAW_MAX, retry_after_ms=None)

    assert step(AttemptOutcome.DELIVERED, 0) == Delivered()
    assert step(AttemptOutcome.TIMEOUT, 1) == RetryLater(delay_ms=5_000)
    assert step(AttemptOutcome.SERVER_ERROR, 2) == RetryLater(delay_ms=300_000)
    assert step(AttemptOutcome.SERVER_ERROR, 3) == Exhausted()


def test_each_status_has_its_outcome() -> None:
    found = [outcome_of_status(status) for status in (200, 204, 301, 308, 400, 410, 429, 500, 599)]
    assert found == [
        *[AttemptOutcome.DELIVERED] * 2,
        *[AttemptOutcome.REDIRECTED] * 2,
        AttemptOutcome.CLIENT_ERROR,
        AttemptOutcome.GONE,
        AttemptOutcome.CLIENT_ERROR,
        *[AttemptOutcome.SERVER_ERROR] * 2,
    ]


def test_an_endpoint_is_disabled_when_it_is_gone_or_failed_for_too_long() -> None:
    def reason(outcome: AttemptOutcome, days: int | None) -> DisabledReason | None:
        since = None if days is None else NOW - timedelta(days=days)
        return disabled_because(outcome, failing_since=since, now=NOW, policy=POLICY)

    assert reason(AttemptOutcome.GONE, None) is DisabledReason.GONE
    assert reason(AttemptOutcome.TIMEOUT, 5) is DisabledReason.FAILING
    assert reason(AttemptOutcome.TIMEOUT, 4) is None
    assert reason(AttemptOutcome.DELIVERED, 6) is None


# -- signatures and secrets


def test_commands_are_paced() -> None:
    paid_until = None
    for _ in range(BURST):
        paid = pay(paid_until, now=NOW)
        assert isinstance(paid, datetime)
        paid_until = paid
    assert pay(paid_until, now=NOW) == INTERVAL
    assert pay(paid_until, now=NOW + INTERVAL / 3) == INTERVAL * 2 / 3
    assert pay(paid_until, now=NOW + INTERVAL) == NOW + INTERVAL * (BURST + 1)
    assert pay(paid_until, now=NOW + timedelta(days=1)) == NOW + timedelta(days=1) + INTERVAL, "nothing is saved up"


@given(st.integers(-14, 14), st.text(min_size=1))
def test_a_signature_verifies_whatever_the_zone_of_the_clock(hours: int, text: str) -> None:
    cipher = SecretCipher({1: b"k" * 32})
    secrets = [cipher.new_secret(), cipher.new_secret()]
    now = datetime.now(timezone(timedelta(hours=hours)))  # noqa: TID251  the library compares with its own clock
    body = text.encode("utf-8", "replace")

    headers = signed_headers("msg_1", body, secrets=secrets, now=now)

    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in secrets:
        Webhook(secret).verify(body, headers, json_parse=False)


def test_a_secret_opens_for_its_own_row_alone() -> None:
    cipher = SecretCipher({1: b"a" * 32, 2: b"b" * 32})
    row, secret = new_id(), cipher.new_secret()
    encrypted = cipher.encrypt(row, secret)
    assert encrypted.key_version == 2
    assert cipher.decrypt(encrypted) == secret
    assert SecretCipher({1: b"a" * 32}).encrypt(row, secret).key_version == 1
    with pytest.raises(InvalidTag):
        cipher.decrypt(replace(encrypted, id=new_id()))


@pytest.mark.parametrize("setting", ["", "1", "1:short", "0:" + "A" * 44, "x:y", "1:é"])
def test_keys_that_encrypt_nothing_are_refused(setting: str) -> None:
    with pytest.raises(EncryptionKeysError):
        parse_keys(setting)


def test_production_refuses_what_is_for_development() -> None:
    url = "postgresql://localhost/nowhere"
    with pytest.raises(ValidationError, match="SECRET_KEYS"):
        NotificationsSettings(mode=Mode.PRODUCTION, notifications_database_url=url)
    with pytest.raises(ValidationError, match="SECRET_KEYS"):
        NotificationsSettings.model_validate(
            {
                "mode": "production",
                "notifications_database_url": url,
                "notifications_secret_keys": f"2:{'A' * 43}=,7:{DEVELOPMENT_KEY}",
            }
        )
    keys = "1:" + "A" * 43 + "="
    with pytest.raises(ValidationError, match="LOOPBACK"):
        NotificationsSettings.model_validate(
            {
                "mode": "production",
                "notifications_database_url": url,
                "notifications_secret_keys": keys,
                "notifications_allow_loopback": True,
            }
        )
    with pytest.raises(ValidationError, match="LEASE"):
        NotificationsSettings(notifications_database_url=url, notifications_lease_s=1.0)


@given(st.binary(max_size=200))
def test_a_response_head_is_harmless_text(raw: bytes) -> None:
    text = printable(raw)
    text.encode("utf-8")
    assert "\x00" not in text
    assert "\x1b" not in text
