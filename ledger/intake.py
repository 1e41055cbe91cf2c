"""Intake of order events: from what a client submits to positions in the ledger, each exactly once.

A submission is judged against the order and the rulebook, then appended at the version it was judged at; whatever came
in between makes the sequencer say so, and the submission is judged again. A client's `source` and `event_id` stand for
one content for ever: the same again is answered as a duplicate, other content is refused.
Source: design, section 4, "Orders"; invariant 8.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, assert_never

import msgspec
from msgspec import Meta, Struct

from ledger import orders
from ledger.checks import Checks, shown
from ledger.events import (
    NAMES,
    Event,
    Identifier,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    OrderReassigned,
    OrderReclassified,
    OrderReturned,
    encode,
)
from ledger.events import recorded as stored_event
from ledger.money import SHARE_ONE, parse_micros, parse_share
from ledger.orders import Order
from ledger.refusal import Code, Problem, Refusal
from ledger.rulebook import Rulebook
from ledger.sequencer import (
    Append,
    Appended,
    IdsTaken,
    NewEvent,
    RulebookMoved,
    StoredId,
    VersionTaken,
    stored_ids,
)
from ledger.store import SOURCE, Store
from ledger.wording import say

EVENTS_MAX = 5_000
ATTEMPTS_MAX = 20
RESERVED_SOURCES = (SOURCE, "eventsourcing")


class Submission(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", gc=False):
    """An order event as a client submits it. `source` and `event_id` together name it for ever."""

    source: Identifier
    event_id: Identifier
    order_id: Identifier
    expected_version: Annotated[
        int | None, Meta(description="Refuse with version_conflict unless the order is at this version (0: not there).")
    ] = None


class SubmitPlaced(Submission, frozen=True, gc=False, tag="order.placed"):
    """A customer ordered."""

    data: OrderPlaced


class SubmitAmended(Submission, frozen=True, gc=False, tag="order.amended"):
    """Lines or header are corrected."""

    data: OrderAmended


class SubmitReclassified(Submission, frozen=True, gc=False, tag="order.reclassified"):
    """The order is of another type."""

    data: OrderReclassified


class SubmitReassigned(Submission, frozen=True, gc=False, tag="order.reassigned"):
    """New splits from a date on."""

    data: OrderReassigned


class SubmitReturned(Submission, frozen=True, gc=False, tag="order.returned"):
    """Part of the order came back."""

    data: OrderReturned


class SubmitCancelled(Submission, frozen=True, gc=False, tag="order.cancelled"):
    """The rest of the order is reversed, or all of it voided."""

    data: OrderCancelled


OrderSubmission = (
    SubmitPlaced | SubmitAmended | SubmitReclassified | SubmitReassigned | SubmitReturned | SubmitCancelled
)


@dataclass(frozen=True)
class Accepted:
    """The event is in the ledger: where, as which version of its order, and whether it already was."""

    position: int
    version: int
    duplicate: bool = False


Outcome = Accepted | Refusal


def record(store: Store, submission: OrderSubmission, *, actor: str) -> Accepted:
    """Record one order event.

    Errors: Refusal, with pointers into the submission; nothing is recorded then.
    """
    outcome = record_each(store, [submission], actor=actor)[0]
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def record_each(store: Store, submissions: Sequence[OrderSubmission], *, actor: str) -> list[Outcome]:
    """Record each order event that can be, in order, and answer every one."""
    return _Batch(store, submissions, actor).recorded(atomic=False)


def record_all(store: Store, submissions: Sequence[OrderSubmission], *, actor: str) -> list[Accepted]:
    """Record all order events or none.

    Errors: Refusal that leads with atomic_batch_refused and carries every problem, with pointers below /events.
    """
    outcomes = _Batch(store, submissions, actor).recorded(atomic=True)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    if len(accepted) == len(outcomes):
        return accepted
    problems = [
        problem.under(f"/events/{index}")
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Refusal) and outcome.code is not Code.atomic_batch_refused
        for problem in outcome.problems
    ]
    sentence = say(
        "the batch was not recorded (events: {outcomes_count}, problems: {problems_count}): correct it and send it"
        " again",
        problems_count=len(problems),
        outcomes_count=len(outcomes),
    )
    raise Refusal((Problem(Code.atomic_batch_refused, sentence), *problems))


_NOT_RECORDED = Refusal.of(
    Code.atomic_batch_refused, say("not recorded, because other events of its batch were refused")
)


@dataclass
class _Loaded:
    """An order on its way through a batch, and the positions of its recorded events."""

    order: Order | None
    version: int
    positions: tuple[int, ...] = ()


class _Batch:
    """The submissions of one request on their way to an outcome each."""

    def __init__(self, store: Store, submissions: Sequence[OrderSubmission], actor: str) -> None:
        self._store = store
        self._submissions = submissions
        self._actor = actor
        self._outcomes = dict[int, Outcome]()
        self._indices = dict[tuple[str, str], int]()
        self._repeats = dict[int, int]()
        self._found = set[str]()  # subjects of orders that are read, though a placing event takes them for new
        for index, submission in enumerate(submissions):
            first = self._indices.setdefault((submission.source, submission.event_id), index)
            if first != index:
                self._repeats[index] = first

    def recorded(self, *, atomic: bool) -> list[Outcome]:
        """Judge and append until every submission has its outcome."""
        for index, submission in enumerate(self._submissions):
            first = self._submissions[self._repeats.get(index, index)]
            if refusal := _check_identity(submission):
                self._outcomes[index] = refusal
            elif first is not submission and not _same_content(submission, first):
                self._outcomes[index] = _id_conflict(submission, say("earlier in the same request"))
        for _ in range(ATTEMPTS_MAX):
            events, rulebook_version = self._judge()
            refused = any(isinstance(outcome, Refusal) for outcome in self._outcomes.values())
            if not events or (atomic and refused) or self._append(events, rulebook_version):
                return [self._outcome(index) for index in range(len(self._submissions))]
        raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the events again")

    def _outcome(self, index: int) -> Outcome:
        if index in self._outcomes:
            return self._outcomes[index]
        first = self._outcomes.get(self._repeats.get(index, index), _NOT_RECORDED)
        return first if isinstance(first, Refusal) else Accepted(first.position, first.version, duplicate=True)

    def _judge(self) -> tuple[dict[int, NewEvent], int]:
        """Judge by the rulebook this process has read; refusals become final only by the latest, and by the orders
        as they are, also where one was taken for new.
        """
        rulebook = self._store.rulebook(refresh=False)
        while True:
            events, refused = self._judged_by(rulebook)
            latest = self._store.rulebook() if refused else rulebook
            unread = {orders.subject(self._submissions[index].order_id) for index in refused} - self._found
            self._found |= unread
            if latest.version == rulebook.version and not unread:
                self._note_refused(refused)
                return events, rulebook.version
            rulebook = latest

    def _judged_by(self, rulebook: Rulebook) -> tuple[dict[int, NewEvent], dict[int, Refusal]]:
        pending = [
            (index, submission)
            for index, submission in enumerate(self._submissions)
            if index not in self._outcomes and index not in self._repeats
        ]
        loaded = self._loaded([submission for _, submission in pending])
        events, refused = dict[int, NewEvent](), dict[int, Refusal]()
        for index, submission in pending:
            at = loaded[submission.order_id]
            try:
                order = _decide(submission, at, rulebook)
            except Refusal as refusal:
                refused[index] = refusal
                continue
            events[index] = _new_event(submission, at, self._actor)
            at.order, at.version = order, at.version + 1
        return events, refused

    def _loaded(self, pending: Sequence[OrderSubmission]) -> dict[str, _Loaded]:
        """Load the orders that the submissions are about; one that is about to be placed is taken for new."""
        loaded = dict[str, _Loaded]()
        unread = dict[str, str]()
        for submission in pending:
            if submission.order_id in loaded:
                continue
            loaded[submission.order_id] = _Loaded(None, 0)
            subject = orders.subject(submission.order_id)
            if not isinstance(submission, SubmitPlaced) or subject in self._found or submission.expected_version:
                unread[subject] = submission.order_id
        if unread:
            for subject, events in self._store.streams(unread).items():
                loaded[unread[subject]] = _Loaded(
                    orders.fold(events), len(events), tuple(event.position for event in events)
                )
        return loaded

    def _append(self, events: dict[int, NewEvent], rulebook_version: int) -> bool:
        """Append; True when the events are stored, False when what is left has to be judged again."""
        verdict = self._store.append(Append(list(events.values()), rulebook_version))
        match verdict:
            case Appended():
                for offset, (index, event) in enumerate(events.items()):
                    self._outcomes[index] = Accepted(verdict.first_position + offset, event.version)
                return True
            case IdsTaken():
                self._note_stored(verdict.stored)
            case VersionTaken():  # names one of them; the others that were taken for new are read with it
                self._found |= {event.subject for event in events.values()}
            case RulebookMoved():
                self._store.rulebook()
            case _:
                assert_never(verdict)
        return False

    def _note_refused(self, refused: dict[int, Refusal]) -> None:
        """Note refusals, but answer what is in the ledger already as what it is."""
        if not refused:
            return
        with self._store.database.cursor() as cursor:
            self._note_stored(stored_ids(cursor, [self._submissions[index] for index in refused]))
        for index, refusal in refused.items():
            self._outcomes.setdefault(index, refusal)

    def _note_stored(self, stored: Iterable[StoredId]) -> None:
        for known in stored:
            index = self._indices[known.source, known.event_id]
            submission = self._submissions[index]
            event = stored_event(known.position, known.state)
            same = event.subject == orders.subject(submission.order_id) and _same_facts(event.data, submission.data)
            self._outcomes[index] = (
                Accepted(known.position, event.version, duplicate=True)
                if same
                else _id_conflict(submission, say("at position {known_position}", known_position=known.position))
            )


def _check_identity(submission: OrderSubmission) -> Refusal | None:
    checks = Checks("event", submission.event_id)
    checks.identifier(submission.source, "/source")
    checks.identifier(submission.event_id, "/event_id")
    checks.identifier(submission.order_id, "/order_id")
    if submission.source in RESERVED_SOURCES:
        checks.note(
            Code.invalid_value,
            say("the source {source} is the ledger's own: use yours", source=shown(submission.source)),
            "/source",
        )
    return Refusal(tuple(checks.problems)) if checks.problems else None


def _decide(submission: OrderSubmission, at: _Loaded, rulebook: Rulebook) -> Order:
    if submission.expected_version not in (None, at.version):
        raise _version_conflict(submission, at)
    try:
        return orders.decide(submission.order_id, at.order, submission.data, rulebook.order_types)
    except Refusal as refusal:
        problems = [
            problem if problem.pointer == "/order_id" else problem.under("/data") for problem in refusal.problems
        ]
        raise Refusal(tuple(problems), refusal.facts) from None


def _version_conflict(submission: OrderSubmission, at: _Loaded) -> Refusal:
    expected = submission.expected_version or 0
    between = at.positions[expected:]
    came = say("; positions {between} came between", between=", ".join(map(str, between[:5]))) if between else ""
    return Refusal.of(
        Code.version_conflict,
        say(
            "order {order_id} is at version {at_version}, the request expected"
            " {expected_version}{came}: read it again and retry",
            order_id=shown(submission.order_id),
            at_version=at.version,
            expected_version=submission.expected_version,
            came=came,
        ),
        "/expected_version",
        expected_version=submission.expected_version,
        actual_version=at.version,
        positions=list(between),
    )


def _new_event(submission: OrderSubmission, at: _Loaded, actor: str) -> NewEvent:
    return NewEvent(
        subject=orders.subject(submission.order_id),
        version=at.version + 1,
        type=NAMES[type(submission.data)],
        source=submission.source,
        event_id=submission.event_id,
        actor=actor,
        effective_on=orders.effective_day(at.order, submission.data),
        data=encode(submission.data),
    )


def _id_conflict(submission: OrderSubmission, where: str) -> Refusal:
    return Refusal.of(
        Code.event_id_conflict,
        say(
            "event id {event_id} of source {source} was used {where} with other"
            " content: send what changed under a new event_id",
            event_id=shown(submission.event_id),
            source=shown(submission.source),
            where=where,
        ),
        "/event_id",
    )


def _same_content(one: OrderSubmission, other: OrderSubmission) -> bool:
    return one.order_id == other.order_id and _same_facts(one.data, other.data)


def _same_facts(one: Event, other: Event) -> bool:
    """Say whether two events mean the same, however their decimals are written ("12.5" and "12.50")."""
    return type(one) is type(other) and (
        one == other or _plain(msgspec.to_builtins(one)) == _plain(msgspec.to_builtins(other))
    )


def _plain(value: Any, name: str = "") -> Any:
    """Give plain data with its decimals as numbers; a share that may be left out is left out."""
    match value:
        case dict():
            plain = {key: _plain(item, key) for key, item in value.items()}
            return {key: item for key, item in plain.items() if (key, item) != ("share", SHARE_ONE)}
        case list() | tuple():
            return [_plain(item, name) for item in value]
        case str() if name in ("amount", "quantity"):
            micros = parse_micros(value)
            return value if micros is None else micros
        case str() if name == "share":
            share = parse_share(value)
            return value if share is None else share
        case _:
            return value
