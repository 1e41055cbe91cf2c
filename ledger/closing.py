"""Recording what becomes of periods: closed, restated, carried forward.

The figures inside the events were computed (projections/ does that) from the closings at some version. An event is
judged by the closings at that version and recorded as the very next one or not at all, so of two people at once the
second is refused (period_moved) and looks again. The same event again, by the same principal, is a duplicate.
Where there is a signing key, a checkpoint is issued behind the event.
"""

from dataclasses import dataclass
from datetime import date

from ledger import checkpoints, statements
from ledger.events import NAMES, DriftCarriedForward, PeriodClosed, PeriodEvent, PeriodRestated, Recorded, encode
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append, Appended, NewEvent
from ledger.statements import Closings
from ledger.store import SOURCE, Store
from ledger.wording import say


@dataclass(frozen=True)
class Booked:
    """Recorded at `position`; `version` is that of the closings from there on, for the next command to name."""

    event: PeriodEvent
    position: int
    version: int
    duplicate: bool = False


def close(store: Store, event: PeriodClosed, *, version: int, actor: str) -> Booked:
    """Record that a period is closed, with its first statement.

    Errors: Refusal, as `statements.decide_close` says; period_moved when the closings are not at `version` any more.
    """
    closings = _closings(store, version)
    decided = statements.decide_close(closings, store.calendar(), event, store.today())
    return _record(store, closings, decided, actor)


def restate(store: Store, event: PeriodRestated, *, version: int, actor: str) -> Booked:
    """Record a closed period's next statement.

    Errors: Refusal, as `statements.decide_restate` says; period_moved when the closings are not at `version` any more.
    """
    closings = _closings(store, version)
    return _record(store, closings, statements.decide_restate(closings, store.calendar(), event), actor)


def carry_forward(store: Store, event: DriftCarriedForward, *, version: int, actor: str) -> Booked:
    """Record that a closed period's drift is booked into an open one.

    Errors: Refusal, as `statements.decide_carry_forward` says; period_moved when the closings are not at `version` any
    more.
    """
    closings = _closings(store, version)
    return _record(store, closings, statements.decide_carry_forward(closings, store.calendar(), event), actor)


def _closings(store: Store, version: int) -> Closings:
    closings = store.closings_of(version)
    if closings is None:
        actual = store.closings().version
        raise Refusal.of(
            Code.period_moved,
            say(
                "the periods are at version {actual}, not yet at {version}: look at the period again and repeat",
                actual=actual,
                version=version,
            ),
            version=actual,
        )
    return closings


def _record(store: Store, closings: Closings, event: PeriodEvent, actor: str) -> Booked:
    """Record a judged event as the one that follows the closings it was judged by."""
    new = NewEvent(
        subject=statements.SUBJECT,
        version=closings.version + 1,
        type=NAMES[type(event)],
        source=SOURCE,
        event_id=_event_id(closings, event),
        actor=actor,
        effective_on=_effective_on(store, event),
        data=encode(event),
    )
    verdict = store.append(Append([new]))
    if isinstance(verdict, Appended):
        if store.signer is not None and store.signer.has_key:
            _sign(store, verdict.first_position, actor)
        return Booked(event, verdict.first_position, new.version)
    came = store.stream(statements.SUBJECT)[closings.version :]
    assert came, "what takes the event's place is another event of the periods"
    if (came[0].data, came[0].actor) == (event, actor):
        return Booked(event, came[0].position, new.version, duplicate=True)
    raise _moved(came)


def _sign(store: Store, position: int, actor: str) -> None:
    """Issue a checkpoint behind a recorded event. Errors: Refusal, as of checkpoints.issue; the event stays."""
    try:
        checkpoints.issue(store, actor=actor)
    except Refusal as refusal:
        reason = refusal.problems[0].detail
        told = say(
            "it is recorded, at position {position}, but the ledger could not be signed: {reason}",
            position=position,
            reason=reason,
        )
        raise Refusal.of(refusal.code, told, position=position) from None


def _event_id(closings: Closings, event: PeriodEvent) -> str:
    if isinstance(event, DriftCarriedForward):
        return f"{event.period}/carry-forward/{len(closings.carried_out_of(event.period)) + 1}"
    return f"{event.period}/statement/{event.statement.version}"


def _effective_on(store: Store, event: PeriodEvent) -> date:
    if isinstance(event, DriftCarriedForward):
        return event.booked_on
    return store.calendar().period(event.period).last_day


def _moved(came: list[Recorded]) -> Refusal:
    """Tell what came in between."""
    last = came[-1]
    assert isinstance(last.data, PeriodEvent)
    done = {
        PeriodClosed: say("closed"),
        PeriodRestated: say("restated"),
        DriftCarriedForward: say("carried forward out of"),
    }[type(last.data)]
    return Refusal.of(
        Code.period_moved,
        say(
            "in between, {last_actor} {done} {period} at position {last_position}: look at the period again and"
            " repeat the command if it is still what you want",
            last_actor=last.actor,
            done=done,
            period=last.data.period,
            last_position=last.position,
        ),
        "/period",
        version=last.version,
        position=last.position,
    )
