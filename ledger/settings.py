"""The ledger's settings: recorded once as its first event, read by whoever needs them."""

from zoneinfo import available_timezones

from ledger.checks import Checks, shown
from ledger.events import NAMES, LedgerOpened, encode
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append, Appended, NewEvent
from ledger.store import LEDGER_SUBJECT, SOURCE, Store


def open_ledger(store: Store, settings: LedgerOpened, *, actor: str) -> int:
    """Record the settings and give the position.

    Errors: Refusal (ledger_initialised) when that was done before; other codes for bad values.
    """
    checks = Checks("the ledger")
    checks.text(settings.name, "/name")
    if not 1 <= settings.fiscal_year_starts_in <= 12:
        month = settings.fiscal_year_starts_in
        checks.note(Code.invalid_value, f"{month} is not a month: give 1 to 12", "/fiscal_year_starts_in")
    if settings.time_zone not in available_timezones() | {"UTC"}:
        checks.note(Code.invalid_value, f"{shown(settings.time_zone)} is not a time zone", "/time_zone")
    checks.refuse_if_any()
    event = NewEvent(
        subject=LEDGER_SUBJECT,
        version=1,
        type=NAMES[LedgerOpened],
        source=SOURCE,
        event_id=NAMES[LedgerOpened],
        actor=actor,
        effective_on=store.clock().date(),
        data=encode(settings),
    )
    verdict = store.sequencer.append(Append([event]))
    if not isinstance(verdict, Appended):
        raise Refusal.of(Code.ledger_initialised, "the ledger was initialised before: its settings are recorded")
    return verdict.first_position
