"""What is sent to webhook endpoints: thin messages about events, signed by the Standard Webhooks convention.

A message says that something was recorded and where to read it; it holds no amounts. Whoever makes an endpoint need not
be allowed to read figures, and what was sent can't be taken back: the receiver asks with a token of its own role, and
gets figures as they are then. docs/webhooks.md has every field.

The same event gives the same message for the same endpoint, with the same id, however often it is sent; only the time
of the attempt, and so the signature, differs.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from ledger.events import (
    NAMES,
    DriftCarriedForward,
    Event,
    PeriodClosed,
    PeriodRestated,
    Recorded,
    RuleChangeApproved,
    RuleChangeProposed,
    RuleChangeRejected,
    RuleChangeWithdrawn,
    encode,
)
from ledger.ids import uuid7
from ledger.webhooks import Endpoint

TEST_TYPE: Final = "webhook.test"
CONTENT_TYPE: Final = "application/json"
_IDENTITY_DIGITS = 16


class EventData(Struct, frozen=True):
    """What every message about an event says of it."""

    position: int
    source: str
    event_id: str
    subject: str
    effective: date
    recorded_at: datetime
    actor: str


class RuleChangeData(EventData, frozen=True):
    """A rule change was proposed, approved, rejected or withdrawn."""

    rule_change_id: str
    address: str


class StatementData(EventData, frozen=True):
    """A period was closed or restated: it has a new statement."""

    period: str
    statement: int
    address: str


class CarriedForwardData(EventData, frozen=True):
    """What a closed period's figures had moved by was carried forward into an open one."""

    period: str
    into_period: str
    booked_on: date
    address: str


class TestData(Struct, frozen=True):
    """Somebody tries an endpoint out; nothing was recorded."""

    __test__ = False
    webhook_id: str
    requested_by: str


class Message(Struct, frozen=True):
    """The body: the event's stored name, when it was recorded, and the data."""

    type: str
    timestamp: datetime
    data: RuleChangeData | StatementData | CarriedForwardData | TestData


@dataclass(frozen=True)
class Outgoing:
    """A message as it is sent: its id, and the bytes that are signed."""

    id: str
    body: bytes


def event_message(endpoint: Endpoint, event: Recorded) -> Outgoing:
    """Write the message that tells an endpoint of an event."""
    message = Message(NAMES[type(event.data)], event.recorded_at, _data(event, event.data))
    return Outgoing(message_id(endpoint, event), encode(message))


def message_id(endpoint: Endpoint, event: Recorded) -> str:
    """Name the message that tells an endpoint of an event, whatever version of the service writes it.

    After a restored backup another event may be at a position that was told of: a digest of which event it is tells
    them apart, and keeps what clients choose (a rule change's id) out of the id.
    """
    identity = f"{event.source}\n{event.event_id}\n{event.recorded_at.isoformat()}"
    return f"msg_{endpoint.id}_{event.position}_{hashlib.sha256(identity.encode()).hexdigest()[:_IDENTITY_DIGITS]}"


def trial_message(endpoint: Endpoint, *, now: datetime, requested_by: str) -> Outgoing:
    """Write a message that tries an endpoint out; it has an id of its own."""
    message = Message(TEST_TYPE, now, TestData(endpoint.id, requested_by))
    return Outgoing(f"msg_{endpoint.id}_test_{uuid7().hex}", encode(message))


def signed_headers(outgoing: Outgoing, secrets: tuple[str, ...], *, now: datetime) -> dict[str, str]:
    """Give the headers of an attempt, with a signature for each secret.

    Source: the Standard Webhooks specification, "Signature scheme" and "Webhook headers".
    """
    timestamp = str(int(now.timestamp()))
    signed = f"{outgoing.id}.{timestamp}.".encode() + outgoing.body
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": outgoing.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _data(event: Recorded, data: Event) -> RuleChangeData | StatementData | CarriedForwardData:
    common = (
        *(event.position, event.source, event.event_id, event.subject),
        *(event.effective_on, event.recorded_at, event.actor),
    )
    match data:
        case RuleChangeProposed() | RuleChangeApproved() | RuleChangeRejected() | RuleChangeWithdrawn():
            address = f"/v1/rule-changes/{quote(data.rule_change_id, safe='')}"
            return RuleChangeData(*common, data.rule_change_id, address)
        case PeriodClosed() | PeriodRestated():
            version = data.statement.version
            address = f"/v1/periods/{quote(data.period, safe='')}/statements/{version}"
            return StatementData(*common, data.period, version, address)
        case DriftCarriedForward():
            address = f"/v1/periods/{quote(data.period, safe='')}"
            return CarriedForwardData(*common, data.period, data.into_period, data.booked_on, address)
    raise AssertionError(f"endpoints are not told of {type(data).__name__}")
