"""What an event type is: a struct per type and version, from which its JSON Schema is made.

A published type never changes in a way that an old reader or an old record would not survive: a change that would adds
a version. `schemas/` pins each schema, `samples/` keeps one of each; both are never changed, which tests check.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from contracts.topics import Topic


@dataclass(frozen=True, slots=True)
class EventType:
    """A published type: *number* identifies it in a journal and is never used for another."""

    number: int
    name: str
    data: type[msgspec.Struct]


class EventDataError(ValueError):
    """The body does not fit its type's schema, or the type does not belong to the stream."""


DataT = TypeVar("DataT")


class EventStream(Generic[DataT]):
    """The event types of one topic, and the parser of their bodies."""

    def __init__(self, topic: Topic, types: Sequence[EventType]) -> None:
        self.topic = topic
        self.types: Mapping[str, EventType] = {event_type.name: event_type for event_type in types}
        self._decoders = {event_type.name: msgspec.json.Decoder(event_type.data) for event_type in types}

    def parse(self, type_name: str, data: bytes) -> DataT:
        """Return the body of an event of *type_name*; unknown members are ignored, so that readers survive additions.

        Raises EventDataError.
        """
        decoder = self._decoders.get(type_name)
        if decoder is None:
            raise EventDataError(f"unknown event type {type_name}")
        try:
            return decoder.decode(data)  # type: ignore[return-value]  # the stream's types are DataT's members
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise EventDataError(f"{type_name}: {error}") from error


def json_schema(event_type: EventType) -> dict[str, object]:
    """Return the JSON Schema of the type's body."""
    schema = msgspec.json.schema(event_type.data)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": event_type.name, **schema}
