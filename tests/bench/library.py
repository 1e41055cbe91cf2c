"""The same orders as the eventsourcing library would keep them: an aggregate's domain events, its own recorder.

Follows the library's documentation: frozen events nested in an aggregate class, stored by the application's mapper with
JSONTranscoder through eventsourcing.postgres (psycopg 3) with its default settings, read back as notifications. Values
are plain strings and dicts, which its transcoder reads fastest.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import StoredEvent
from psycopg2.extensions import parse_dsn

Line = dict[str, Any]


class LibraryOrder(Aggregate):
    """An order as an aggregate of the library."""

    class Placed(Aggregate.Created):
        """A customer ordered."""

        ordered_on: str
        order_type: str
        customer_id: str
        currency: str
        lines: list[Line]
        splits: list[dict[str, str]]

    class Amended(Aggregate.Event):
        """Lines corrected."""

        lines: list[Line]

    class Reclassified(Aggregate.Event):
        """Another order type."""

        order_type: str

    class Reassigned(Aggregate.Event):
        """Another split."""

        effective_from: str
        splits: list[dict[str, str]]

    class Returned(Aggregate.Event):
        """Part of the order came back."""

        returned_on: str
        lines: list[Line]

    class Cancelled(Aggregate.Event):
        """The rest is reversed."""

        cancelled_on: str


class LibraryLedger(Application[UUID]):
    """The library's application over its own PostgreSQL recorder."""


_CLASSES: dict[str, type[Aggregate.Event]] = {
    "order.placed": LibraryOrder.Placed,
    "order.amended": LibraryOrder.Amended,
    "order.reclassified": LibraryOrder.Reclassified,
    "order.reassigned": LibraryOrder.Reassigned,
    "order.returned": LibraryOrder.Returned,
    "order.cancelled": LibraryOrder.Cancelled,
}
_TOPIC = "tests.bench.library:LibraryOrder"


def environment(url: str, *, pool_size: int = 5) -> dict[str, str]:
    """Configure the library for a database; everything but the pool is left at its default."""
    parts = parse_dsn(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts["dbname"],
        "POSTGRES_HOST": parts.get("host", ""),
        "POSTGRES_PORT": parts.get("port", "5432"),
        "POSTGRES_USER": parts.get("user", ""),
        "POSTGRES_PASSWORD": parts.get("password", ""),
        "POSTGRES_POOL_SIZE": str(pool_size),
    }


def library_events(app: LibraryLedger, states: Iterable[tuple[str, int, str, str]]) -> Iterator[StoredEvent]:
    """Turn stored events of ours into the library's, of the same content; its uuid of an order stands for the id."""
    now = datetime.now(UTC)
    for subject, version, name, state in states:
        data = msgspec.json.decode(state)["data"]
        data |= {"originator_topic": _TOPIC} if version == 1 else {}
        order = uuid5(NAMESPACE_URL, subject)
        event = _CLASSES[name](originator_id=order, originator_version=version, timestamp=now, **_whole(name, data))
        yield app.mapper.to_stored_event(event)


def _whole(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Add the fields that our form leaves out because they are as usual."""
    if name in ("order.placed", "order.reassigned"):
        return data | {"splits": [{"share": "1"} | split for split in data.get("splits", ())]}
    return data


def record(app: LibraryLedger, events: Sequence[StoredEvent]) -> None:
    """Store events with the library's own recorder."""
    app.recorder.insert_events(events)
