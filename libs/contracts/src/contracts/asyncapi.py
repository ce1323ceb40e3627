"""The AsyncAPI document of every topic, made from the registry: `python -m contracts.asyncapi` prints it as JSON."""

import json
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Final

import msgspec

from contracts.event_types import EventType
from contracts.ids import SHARDS
from contracts.registry import PUBLISHED_TYPES, STREAMS
from contracts.topics import WALLET_WATERMARKS, Topic
from contracts.watermarks import Watermark

VERSION: Final = "3.0.0"
"""Of the AsyncAPI specification."""

_REF: Final = "#/components/schemas/{name}"
_TEXT: Final = {"type": "string"}
_ID: Final = {"type": "string", "format": "uuid"}
_SHARD_KEY: Final = {"type": "string", "pattern": "^[0-9]{1,2}$"}
_WATERMARK: Final = "wallet.watermark"
_HEADERS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "content-type": ({"const": "application/json"}, "The body is JSON."),
    "ce_specversion": ({"const": "1.0"}, "CloudEvents, in binary mode."),
    "ce_id": (_ID, "The event's id, a UUIDv7."),
    "ce_source": (_TEXT, "The service that publishes it."),
    "ce_type": (_TEXT, "The event's type and version."),
    "ce_time": ({"type": "string", "format": "date-time"}, "When it occurred, in UTC with microseconds."),
    "ce_subject": (_ID, "Whom it is about: the record's key."),
    "ce_dataschema": ({"type": "string", "format": "uri"}, "Where the body's JSON Schema is served."),
    "ce_tenantid": (_ID, "The tenant."),
    "ce_shard": (
        _SHARD_KEY,
        f"The logical shard, 0 to {SHARDS - 1}: the low six bits of the subject's last byte.",
    ),
    "ce_sequence": (
        {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "Dense within the shard: 1, 2, 3 … Deduplicate by shard and sequence.",
    ),
    "ce_walletversion": ({"type": "string", "pattern": "^[1-9][0-9]*$"}, "The wallet's version after the event."),
    "ce_transactionid": (_ID, "The ledger transaction that the entry belongs to."),
    "ce_entryindex": ({"type": "string", "pattern": "^[0-9]+$"}, "The entry's place in its transaction, from 0."),
    "ce_entrycount": ({"type": "string", "pattern": "^[1-9][0-9]*$"}, "How many entries the transaction has."),
    "ce_causationid": (_ID, "The event that led to this one."),
    "traceparent": (_TEXT, "W3C trace context, where the request was sampled."),
}
_OPTIONAL: Final = frozenset(
    {"ce_walletversion", "ce_transactionid", "ce_entryindex", "ce_entrycount", "ce_causationid", "traceparent"}
)


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    types = list(PUBLISHED_TYPES.values())
    channels: dict[Topic, Sequence[str]] = {stream.topic: list(stream.types) for stream in STREAMS}
    channels[WALLET_WATERMARKS] = [_WATERMARK]
    _, schemas = msgspec.json.schema_components([*(each.data for each in types), Watermark], ref_template=_REF)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Wallet platform events",
            "version": metadata.version("contracts"),
            "description": "CloudEvents 1.0 over Kafka in binary mode. Delivery is at least once, in sequence order "
            "per shard; topics are kept for ever by default. "
            "Watermarks are no events: they tell how complete a topic is.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic, messages) for topic, messages in channels.items()},
        "operations": {_operation_name(topic): _operation(topic, messages) for topic, messages in channels.items()},
        "components": {
            "messages": {**{each.name: _message(each) for each in types}, _WATERMARK: _watermark()},
            "schemas": {**schemas, "Headers": _headers()},
        },
    }


def _channel(topic: Topic, messages: Sequence[str]) -> dict[str, Any]:
    return {
        "address": topic.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": _configuration(topic),
                "bindingVersion": "0.5.0",
            }
        },
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    if topic.is_compacted:
        return {"cleanup.policy": ["compact"]}
    return {"retention.ms": topic.retention_ms}


def _operation_name(topic: Topic) -> str:
    return "publish_" + topic.name.replace(".", "_")


def _operation(topic: Topic, messages: Sequence[str]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in messages],
    }


def _message(event_type: EventType) -> dict[str, Any]:
    return {
        "name": event_type.name,
        "title": event_type.data.__name__,
        "summary": (event_type.data.__doc__ or "").split("\n", maxsplit=1)[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": {"$ref": _REF.format(name=event_type.data.__name__)},
        "bindings": {"kafka": {"key": _ID, "bindingVersion": "0.5.0"}},
    }


def _watermark() -> dict[str, Any]:
    return {
        "name": _WATERMARK,
        "title": Watermark.__name__,
        "summary": (Watermark.__doc__ or "").split("\n", maxsplit=1)[0],
        "contentType": "application/json",
        "payload": {"$ref": _REF.format(name=Watermark.__name__)},
        "bindings": {"kafka": {"key": _SHARD_KEY, "bindingVersion": "0.5.0"}},
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {**schema, "description": text} for name, (schema, text) in _HEADERS.items()},
        "required": sorted(set(_HEADERS) - _OPTIONAL),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2) + "\n")
