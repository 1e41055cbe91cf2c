"""Webhook endpoints: whom the ledger tells by itself of what is recorded, and how far each has been told.

An endpoint has a position of its own in the ledger: every event of its types up to there was delivered. It only moves
forward, and only behind a delivery that the receiver took. A replay delivers a range up to that position again, before
anything new. This is bookkeeping beside the ledger: no event, no projection, and nothing is computed from it.

States: active; disabled, by somebody or because the receiver answered 410; failing, after the last try. Only enabling
leads out of the latter two, and it goes on where the endpoint was: nothing is ever skipped.
"""

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from ledger.checks import Checks, shown
from ledger.database import Cursor, Database, one
from ledger.refusal import Code, Refusal
from ledger.webhook_urls import Reach
from ledger.wording import say

ENDPOINTS_MAX: Final = 20
DELIVERIES_KEPT: Final = 500
"""So many of the last deliveries of an endpoint are kept."""
ROTATION: Final = timedelta(hours=24)
"""So long the secret before the last rotation signs too."""
EVENT_TYPES: Final = (
    "period.closed",
    "period.restated",
    "period.carried_forward",
    "rule_change.approved",
    "rule_change.proposed",
    "rule_change.rejected",
    "rule_change.withdrawn",
)
"""The stored names of the events that endpoints may be told of."""
DEFAULT_TYPES: Final = EVENT_TYPES[:4]

ACTIVE, DISABLED, FAILING = "active", "disabled", "failing"
DELIVERED: Final = "delivered"
REFUSED: Final = "refused"
GONE: Final = "gone"
TIMEOUT: Final = "timeout"
UNREACHABLE: Final = "unreachable"
FORBIDDEN_ADDRESS: Final = "forbidden_address"
OUTCOMES: Final = (DELIVERED, REFUSED, GONE, TIMEOUT, UNREACHABLE, FORBIDDEN_ADDRESS)
"""What becomes of an attempt: a 2xx answer, another one, 410, none in time, no connection, one not to be opened."""

_ID_BYTES = 8
_SECRET_BYTES = 32
_FIND = (
    "SELECT id, url, description, event_types, secret, previous_secret, previous_secret_until, state, state_reason,"
    " position, replay_after, replay_until, failures, next_attempt_at, created_at, created_by FROM webhook_endpoint"
)
_NOTE = (
    "INSERT INTO webhook_delivery"
    " (endpoint_id, message_id, position, attempt, at, outcome, status, detail, milliseconds) VALUES (%(endpoint_id)s,"
    " %(message_id)s, %(position)s, %(attempt)s, %(at)s, %(outcome)s, %(status)s, %(detail)s, %(milliseconds)s)"
)


@dataclass(frozen=True)
class Asked:
    """What somebody asks for: whom to tell of which events; those behind a position, of None from now on."""

    url: str
    event_types: tuple[str, ...] = DEFAULT_TYPES
    description: str | None = None
    from_position: int | None = None


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as kept. Its secrets are not shown where it is."""

    id: str
    url: str
    description: str | None
    event_types: tuple[str, ...]
    secret: str = field(repr=False)
    previous_secret: str | None = field(repr=False)
    previous_secret_until: datetime | None
    state: str
    state_reason: str | None
    position: int
    replay_after: int | None
    replay_until: int | None
    failures: int
    next_attempt_at: datetime | None
    created_at: datetime
    created_by: str

    def secrets_at(self, now: datetime) -> tuple[str, ...]:
        """Give the secrets that sign, the current one first."""
        if self.previous_secret is None or self.previous_secret_until is None or now >= self.previous_secret_until:
            return (self.secret,)
        return (self.secret, self.previous_secret)

    def is_due(self, now: datetime) -> bool:
        """Say whether an attempt may be made."""
        return self.state == ACTIVE and (self.next_attempt_at is None or now >= self.next_attempt_at)

    def next_range(self, head: int) -> tuple[int, int]:
        """Give the positions (after, until] in which the next event to deliver is: those of a replay go first."""
        if self.replay_after is not None and self.replay_until is not None:
            return self.replay_after, self.replay_until
        return self.position, head


@dataclass(frozen=True)
class Delivery:
    """One attempt; `position` is that of the event, None of a test."""

    endpoint_id: str
    message_id: str
    position: int | None
    attempt: int
    at: datetime
    outcome: str
    status: int | None
    detail: str
    milliseconds: int
    number: int = 0


def check_asked(asked: Asked, reach: Reach, *, head: int) -> None:
    """Refuse what can't be an endpoint. Errors: Refusal (invalid_url, invalid_value), with every problem."""
    checks = Checks("the webhook")
    try:
        reach.target(asked.url)
    except Refusal as refusal:
        checks.problems.extend(refusal.problems)
    for index, name in enumerate(asked.event_types):
        if name not in EVENT_TYPES:
            sentence = say("{name} is not one of {event_types}", name=shown(name), event_types=", ".join(EVENT_TYPES))
            checks.note(Code.invalid_value, sentence, f"/event_types/{index}")
    if not asked.event_types or len(set(asked.event_types)) < len(asked.event_types):
        checks.note(Code.invalid_value, say("name at least one type of events, and each once"), "/event_types")
    checks.text(asked.description, "/description")
    if asked.from_position is not None and not 0 <= asked.from_position <= head:
        sentence = say(
            "the ledger is at position {head}: give 0 for everything, up to {head} for what comes from now on",
            head=head,
        )
        checks.note(Code.invalid_value, sentence, "/from_position")
    checks.refuse_if_any()


def create_in(cursor: Cursor, asked: Asked, *, head: int, now: datetime, creator: str) -> Endpoint:
    """Make an endpoint of what was checked, in the caller's transaction. Errors: Refusal (too_many_webhooks)."""
    cursor.execute("LOCK TABLE webhook_endpoint IN SHARE ROW EXCLUSIVE MODE")
    cursor.execute("SELECT count(*) FROM webhook_endpoint")
    if one(cursor)[0] >= ENDPOINTS_MAX:
        raise Refusal.of(
            Code.too_many_webhooks,
            say("there are {endpoints_max} webhooks, as many as there may be", endpoints_max=ENDPOINTS_MAX),
        )
    position = head if asked.from_position is None else asked.from_position
    endpoint_id = secrets.token_hex(_ID_BYTES)
    cursor.execute(
        "INSERT INTO webhook_endpoint (id, url, description, event_types, secret, state, position, created_at,"
        " created_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(endpoint_id, asked.url, asked.description, list(asked.event_types), new_secret()),
            *(ACTIVE, position, now, creator),
        ),
    )
    return held_in(cursor, endpoint_id)


def new_secret() -> str:
    """Make a secret as the convention writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def list_endpoints(database: Database) -> list[Endpoint]:
    """Give all endpoints, oldest first."""
    with database.cursor() as cursor:
        cursor.execute(_FIND + " ORDER BY created_at, id")
        return [_endpoint(row) for row in cursor]


def find_endpoint(database: Database, endpoint_id: str) -> Endpoint | None:
    """Give an endpoint, None where there is none of that id."""
    with database.cursor() as cursor:
        cursor.execute(_FIND + " WHERE id = %s", (endpoint_id,))
        row = cursor.fetchone()
        return None if row is None else _endpoint(row)


def held_in(cursor: Cursor, endpoint_id: str) -> Endpoint:
    """Give an endpoint and hold it until the caller's transaction ends. Errors: Refusal (webhook_not_found)."""
    cursor.execute(_FIND + " WHERE id = %s FOR UPDATE", (endpoint_id,))
    row = cursor.fetchone()
    if row is None:
        raise not_found(endpoint_id)
    return _endpoint(row)


def not_found(endpoint_id: str) -> Refusal:
    """Make the refusal of an id that is no endpoint's."""
    return Refusal.of(
        Code.webhook_not_found,
        say("there is no webhook {endpoint_id}: see GET /v1/webhooks", endpoint_id=shown(endpoint_id)),
    )


def enable_in(cursor: Cursor, endpoint_id: str) -> None:
    """Let an endpoint go on where it is, at once and with all tries."""
    _update(cursor, endpoint_id, state=ACTIVE, state_reason=None, failures=0, next_attempt_at=None)


def disable_in(cursor: Cursor, endpoint_id: str, reason: str) -> None:
    """Let an endpoint stop where it is."""
    _update(cursor, endpoint_id, state=DISABLED, state_reason=reason)


def delete_in(cursor: Cursor, endpoint_id: str) -> None:
    """Delete an endpoint with its deliveries."""
    held_in(cursor, endpoint_id)
    cursor.execute("DELETE FROM webhook_endpoint WHERE id = %s", (endpoint_id,))


def rotate_in(cursor: Cursor, endpoint_id: str, *, now: datetime) -> str:
    """Give an endpoint another secret; the one before signs too for the time of ROTATION, an older one not any more."""
    before, secret = held_in(cursor, endpoint_id), new_secret()
    _update(
        cursor,
        endpoint_id,
        secret=secret,
        previous_secret=before.secret,
        previous_secret_until=now + ROTATION,
    )
    return secret


def replay_in(cursor: Cursor, endpoint_id: str, from_position: int, to_position: int | None) -> None:
    """Deliver the events at [from_position, to_position] again, at once; the last replay asked for counts.

    What lies behind the endpoint's position comes anyway.
    Errors: Refusal (invalid_value) where nothing was delivered that could be again.
    """
    endpoint = held_in(cursor, endpoint_id)
    checks = Checks("the replay")
    if not 1 <= from_position <= endpoint.position:
        sentence = say(
            "the webhook is at position {endpoint_position}: begin at 1 or behind it, and not behind that",
            endpoint_position=endpoint.position,
        )
        checks.note(Code.invalid_value, sentence, "/from_position")
    elif to_position is not None and to_position < from_position:
        checks.note(
            Code.invalid_value, say("end at {from_position} or behind it", from_position=from_position), "/to_position"
        )
    checks.refuse_if_any()
    until = min(endpoint.position, endpoint.position if to_position is None else to_position)
    _update(cursor, endpoint_id, replay_after=from_position - 1, replay_until=until, failures=0, next_attempt_at=None)


def note_delivered(database: Database, endpoint: Endpoint, delivery: Delivery) -> None:
    """Move an endpoint on behind an event that its receiver took; nothing where the endpoint was deleted."""
    with database.transaction() as cursor:
        now = _held(cursor, endpoint.id)
        if now is None or delivery.position is None:
            return
        if delivery.position > now.position:
            _update(cursor, endpoint.id, position=delivery.position, failures=0, next_attempt_at=None)
        elif (now.replay_after, now.replay_until) == (endpoint.replay_after, endpoint.replay_until):
            is_over = delivery.position == now.replay_until
            after, until = (None, None) if is_over else (delivery.position, now.replay_until)
            _update(cursor, endpoint.id, replay_after=after, replay_until=until, failures=0, next_attempt_at=None)
        _append(cursor, delivery)


def end_replay(database: Database, endpoint: Endpoint) -> None:
    """End a replay in which no event is left, unless another one was asked for meanwhile."""
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE webhook_endpoint SET replay_after = NULL, replay_until = NULL"
            " WHERE id = %s AND replay_after = %s AND replay_until = %s",
            (endpoint.id, endpoint.replay_after, endpoint.replay_until),
        )


def note_failed(
    database: Database, delivery: Delivery, *, retry_at: datetime | None, state: str = ACTIVE, reason: str | None = None
) -> None:
    """Note a failed attempt: when the next one is, or that the endpoint stops and why; only of one that is active."""
    with database.transaction() as cursor:
        now = _held(cursor, delivery.endpoint_id)
        if now is None:
            return
        if now.state == ACTIVE:
            _update(
                cursor,
                now.id,
                failures=now.failures + 1,
                next_attempt_at=retry_at,
                state=state,
                state_reason=reason,
            )
        _append(cursor, delivery)


def note_test(database: Database, delivery: Delivery) -> None:
    """Note a test, which moves nothing."""
    with database.transaction() as cursor:
        note_test_in(cursor, delivery)


def note_test_in(cursor: Cursor, delivery: Delivery) -> None:
    """Note a test in the caller's transaction."""
    if _held(cursor, delivery.endpoint_id) is not None:
        _append(cursor, delivery)


def stop_failing(database: Database, endpoint_id: str, reason: str) -> None:
    """Stop an endpoint for which no message can be made."""
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE webhook_endpoint SET state = %s, state_reason = %s WHERE id = %s AND state = %s",
            (FAILING, reason, endpoint_id, ACTIVE),
        )


def read_deliveries(database: Database, endpoint_id: str, *, before: int | None, limit: int) -> list[Delivery]:
    """Give the deliveries that are kept of an endpoint, the last one first; those before a number, of None all."""
    with database.cursor() as cursor:
        return read_deliveries_in(cursor, endpoint_id, before=before, limit=limit)


def read_deliveries_in(cursor: Cursor, endpoint_id: str, *, before: int | None, limit: int) -> list[Delivery]:
    """Give the deliveries that are kept of an endpoint, as the caller's transaction sees them."""
    cursor.execute(
        "SELECT endpoint_id, message_id, position, attempt, at, outcome, status, detail, milliseconds, number"
        " FROM webhook_delivery WHERE endpoint_id = %s AND (%s::bigint IS NULL OR number < %s)"
        " ORDER BY number DESC LIMIT %s",
        (endpoint_id, before, before, limit),
    )
    return [Delivery(*row) for row in cursor]


def count_states(cursor: Cursor) -> dict[str, int]:
    """Count the endpoints in each state."""
    cursor.execute("SELECT state, count(*) FROM webhook_endpoint GROUP BY state")
    return dict.fromkeys((ACTIVE, DISABLED, FAILING), 0) | dict(cursor.fetchall())


def _held(cursor: Cursor, endpoint_id: str) -> Endpoint | None:
    try:
        return held_in(cursor, endpoint_id)
    except Refusal:
        return None  # deleted while the receiver was asked


def _append(cursor: Cursor, delivery: Delivery) -> None:
    cursor.execute(_NOTE, vars(delivery))
    cursor.execute(
        "DELETE FROM webhook_delivery WHERE endpoint_id = %(id)s AND number <= (SELECT number FROM webhook_delivery"
        " WHERE endpoint_id = %(id)s ORDER BY number DESC OFFSET %(kept)s LIMIT 1)",
        {"id": delivery.endpoint_id, "kept": DELIVERIES_KEPT},
    )


def _update(cursor: Cursor, endpoint_id: str, **values: object) -> None:
    """Set columns of an endpoint. Errors: Refusal (webhook_not_found)."""
    columns = ", ".join(f"{name} = %({name})s" for name in values)
    statement = "UPDATE webhook_endpoint SET " + columns + " WHERE id = %(id)s"  # noqa: S608 - columns are named in the code
    cursor.execute(statement, {**values, "id": endpoint_id})
    if cursor.rowcount == 0:
        raise not_found(endpoint_id)


def _endpoint(row: Iterable[Any]) -> Endpoint:
    endpoint_id, url, description, event_types, *others = row
    return Endpoint(endpoint_id, url, description, tuple(event_types), *others)
