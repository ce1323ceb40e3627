"""The projection: each event becomes one delivery per endpoint that wants it."""

from collections.abc import Sequence
from typing import Final

from contracts.envelope import Envelope
from contracts.events import parse_data
from contracts.ids import new_id
from notifications.deliveries.recording_postgres import PostgresRecorder
from notifications.deliveries.rows import Message, NewDelivery
from notifications.domain.messages import SUBSCRIBABLE, body_of
from notifications.domain.versions import newest_versions
from servicekit.postgres import Transaction

NAME: Final = "notifications"
"""The consumer group, and the name of its checkpoints."""


class DeliveryProjection:
    """Records deliveries of events."""

    def __init__(self, recorder: PostgresRecorder, *, topic: str) -> None:
        self._recorder = recorder
        self.name = NAME
        self.topic = topic

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Record what *events* are to be told to whom; raises EventDataError and Contradiction for poison."""
        for event in events:
            parse_data(event.type, event.data)
        known = await self._recorder.versions(tx, sorted({event.subject for event in events}))
        await self._recorder.keep_versions(tx, newest_versions(events, known))
        wanted = [event for event in events if event.type in SUBSCRIBABLE]
        matches = await self._recorder.matches(tx, wanted)
        if not matches:
            return
        messages = [_message(wanted[index]) for index in sorted({index for index, _ in matches})]
        deliveries = [
            NewDelivery(
                id=new_id(),
                tenant_id=wanted[index].tenant_id,
                endpoint_id=endpoint_id,
                message_id=wanted[index].event_id,
                type=wanted[index].type,
            )
            for index, endpoint_id in matches
        ]
        await self._recorder.add(tx, messages, deliveries)


def _message(event: Envelope) -> Message:
    return Message(
        id=event.event_id,
        tenant_id=event.tenant_id,
        type=event.type,
        wallet_id=event.subject,
        body=body_of(event),
        traceparent=event.traceparent,
        occurred_at=event.time,
    )
