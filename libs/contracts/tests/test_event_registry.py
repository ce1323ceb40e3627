"""The registry of events is a promise: types, numbers and schemas are pinned, and every old sample still parses."""

import json
from pathlib import Path

import jsonschema
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from contracts.envelope import EnvelopeError, from_record, to_headers
from contracts.event_types import EventDataError, EventType
from contracts.events import EVENT_TYPES, parse_data
from contracts.registry import PUBLISHED_TYPES, STREAMS, TYPES_BY_NUMBER
from contracts.schema_files import SAMPLES, SCHEMAS, read_sample, sample_files, schema_file, schema_text

NUMBERS = {
    "wallet.opened.v1": 1,
    "wallet.funds_deposited.v1": 2,
    "wallet.funds_withdrawn.v1": 3,
    "wallet.funds_sent.v1": 4,
    "wallet.funds_received.v1": 5,
    "wallet.restricted.v1": 6,
    "wallet.unrestricted.v1": 7,
    "wallet.closed.v1": 8,
    "ledger.system_entry_posted.v1": 9,
    "fraud.decision_made.v1": 10,
    "notifications.endpoint_disabled.v1": 11,
    "notifications.delivery_exhausted.v1": 12,
    "access.tenant_changed.v1": 13,
    "access.issuer_changed.v1": 14,
    "access.service_account_changed.v1": 15,
    "access.api_key_changed.v1": 16,
    "access.subject_changed.v1": 17,
    "access.rate_limits_changed.v1": 18,
    "wallet.hold_placed.v1": 19,
    "wallet.hold_increased.v1": 20,
    "wallet.hold_captured.v1": 21,
    "wallet.hold_released.v1": 22,
    "wallet.overdraft_changed.v1": 29,
    "wallet.limits_changed.v1": 30,
    "wallet.details_changed.v1": 31,
    "wallet.fee_charged.v1": 23,
    "wallet.fee_returned.v1": 24,
    "wallet.refund_sent.v1": 25,
    "wallet.refund_received.v1": 26,
    "wallet.transaction_reversed.v1": 27,
    "wallet.chargeback_debited.v1": 28,
    "ledger.owner_changed.v1": 32,
    "ledger.policy_changed.v1": 33,
    "history.job_finished.v1": 41,
    "history.statement_ready.v1": 42,
}
OLD_SCHEMAS = Path(__file__).parent / "old_schemas"
SAMPLE_FILES = sorted(SAMPLES.glob("*.json"))


def test_numbers_stand_in_the_journal_for_ever() -> None:
    assert {name: event_type.number for name, event_type in PUBLISHED_TYPES.items()} == NUMBERS
    assert len(TYPES_BY_NUMBER) == len(PUBLISHED_TYPES)


@pytest.mark.parametrize("event_type", PUBLISHED_TYPES.values(), ids=lambda event_type: event_type.name)
def test_a_published_schema_does_not_change(event_type: EventType) -> None:
    assert schema_file(event_type).read_text() == schema_text(event_type)


@pytest.mark.parametrize("file", sorted(OLD_SCHEMAS.glob("*.json")), ids=lambda file: file.stem)
def test_a_reader_of_the_schema_before_takes_the_new_samples(file: Path) -> None:
    event_type = PUBLISHED_TYPES[file.stem]

    for sample in sample_files(event_type):
        jsonschema.validate(read_sample(sample)["data"], json.loads(file.read_text()))


def test_every_type_has_a_schema_and_a_sample_and_no_file_is_left_over() -> None:
    assert {file.stem for file in SCHEMAS.glob("*.json")} == set(PUBLISHED_TYPES)
    assert all(sample_files(event_type) for event_type in PUBLISHED_TYPES.values())


@pytest.mark.parametrize("file", SAMPLE_FILES, ids=lambda file: file.stem)
def test_an_old_sample_still_parses_and_fits_the_schema(file: Path) -> None:
    sample = read_sample(file)
    headers = [(name, value.encode()) for name, value in sample["headers"].items()]

    event = from_record(headers, json.dumps(sample["data"]).encode())

    next(stream for stream in STREAMS if event.type in stream.types).parse(event.type, event.data)
    jsonschema.validate(sample["data"], json.loads(schema_file(PUBLISHED_TYPES[event.type]).read_text()))
    assert dict(to_headers(event, schema_base="https://wallet.example/schemas/")) == dict(headers)


@pytest.mark.parametrize("file", SAMPLE_FILES, ids=lambda file: file.stem)
def test_a_cloudevents_library_reads_a_sample(file: Path) -> None:
    sample = read_sample(file)
    message = KafkaMessage(
        headers={name: value.encode() for name, value in sample["headers"].items()},
        key=sample["headers"]["ce_subject"].encode(),
        value=json.dumps(sample["data"]).encode(),
    )

    event = from_binary_event(message, JSONFormat())

    assert event.get_type() == sample["headers"]["ce_type"]
    assert event.get_extension("sequence") == sample["headers"]["ce_sequence"]
    assert event.get_data() == sample["data"]


@pytest.mark.parametrize("lost", ["ce_id", "ce_type", "ce_time", "ce_shard", "ce_sequence", "ce_subject"])
def test_a_record_without_a_required_header_is_no_event(lost: str) -> None:
    sample = read_sample(SAMPLE_FILES[0])
    headers = [(name, value.encode()) for name, value in sample["headers"].items() if name != lost]

    with pytest.raises(EnvelopeError):
        from_record(headers, b"{}")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ce_specversion", b"0.3"), ("ce_shard", b"x"), ("ce_id", b"1"), ("ce_time", b"noon"), ("ce_type", b"\xff")],
)
def test_a_malformed_header_is_refused(name: str, value: bytes) -> None:
    sample = read_sample(SAMPLE_FILES[0])
    headers = {header: text.encode() for header, text in sample["headers"].items()} | {name: value}

    with pytest.raises(EnvelopeError):
        from_record(headers.items(), b"{}")


def test_a_tombstone_is_no_event() -> None:
    sample = read_sample(SAMPLE_FILES[0])

    with pytest.raises(EnvelopeError):
        from_record([(name, value.encode()) for name, value in sample["headers"].items()], None)


@pytest.mark.parametrize(
    ("type_name", "data"), [("wallet.lost.v1", b"{}"), ("wallet.opened.v1", b"{}"), ("wallet.opened.v1", b"\xff")]
)
def test_a_bad_body_is_refused(type_name: str, data: bytes) -> None:
    with pytest.raises(EventDataError):
        parse_data(type_name, data)


def test_a_reader_survives_members_it_does_not_know() -> None:
    sample = read_sample(sample_files(EVENT_TYPES["wallet.opened.v1"])[0])

    parse_data("wallet.opened.v1", json.dumps({**sample["data"], "colour": "red"}).encode())
