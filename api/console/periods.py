"""Closing periods: which are open, closed and drifting; one of them with causes and both ways out; its statements."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import READERS, allow
from api.client import ANY, AtStatement, Client, Read
from api.console.reading import reading
from api.console.shell import Form, Known, Source, asked_known, asking, client, page, seen_roles, sent_form, told_done
from api.shapes import (
    CarryForwardAnswer,
    ClosingPeriodAnswer,
    MovementLineAnswer,
    OptionsAnswer,
    PeriodSummary,
    ProblemDocument,
    ResolvedAnswer,
)
from api.transport import Refused
from ledger.store import Store
from ledger.wording import Sentence, say

Owner = tuple[str | None, str]
"""A salesperson (None: nobody) and a currency."""
CAUSES_MAX: Final = 3
"""So many causes of a salesperson's drift are shown; the comparison has all."""


@dataclass(frozen=True)
class Ways:
    """What finance can do with a period as it is, and what that would record.

    Shape: of an open period what closing it would freeze, or why it can't be closed; of a drifting one both ways of
    resolving it, and the periods that the drift may be carried into.
    """

    etag: str = ANY
    closing: ResolvedAnswer | None = None
    obstacle: ProblemDocument | None = None
    options: OptionsAnswer | None = None
    targets: list[PeriodSummary] = field(default_factory=list)

    @property
    def changes(self) -> dict[Owner | str, str]:
        """Give by how much a restatement differs from the statement before: by owner, and by currency in all."""
        if self.options is None:
            return {}
        changes: dict[Owner | str, str] = {each.currency: each.drift for each in self.options.drift_totals}
        for line in self.options.drift:
            changes[line.salesperson_id, line.currency] = line.drift
        return changes


@dataclass(frozen=True)
class Sent:
    """A command about a period that was sent by a form of the page, and the form.

    Shape: `rehearsed` is what a carry-forward would record, of one whose outcome was asked for.
    """

    command: str = ""
    form: Form = field(default_factory=Form)
    is_rehearsal: bool = False
    rehearsed: CarryForwardAnswer | None = None


def add_periods(console: Blueprint, store: Store) -> None:
    """Add the pages."""
    _add_reading(console, store)
    _add_commands(console)


def _add_reading(console: Blueprint, store: Store) -> None:
    @console.get("/periods")
    @reading("known")
    @allow(*READERS)
    @asking("periods.html", "known")
    def get_periods() -> Response:
        known, ledger = asked_known(store), client()
        told = ledger.periods(known.point)
        drifting = [each.period for each in told.periods if each.has_drift]
        return page(
            "periods.html",
            known=known,
            view=told.view,
            periods=told.periods[::-1],
            drifts={name: ledger.period(name, known.point).answer.drift_totals for name in drifting},
            sources=[
                Source(say("Periods"), "/v1/periods", known.query),
                *[Source(say("Drift of {name}", name=name), f"/v1/periods/{name}", known.query) for name in drifting],
            ],
        )

    @console.get("/periods/<period_id>")
    @reading("known", "into", "done")
    @allow(*READERS)
    @asking("period.html", "known")
    def get_period(period_id: str) -> Response:
        return _period_page(period_id, asked_known(store), request.args.get("into", ""), Sent())

    @console.get("/periods/<period_id>/statements/<version>")
    @allow(*READERS)
    def get_statement(period_id: str, version: str) -> Response:
        ledger = client()
        told = ledger.statement(period_id, version)
        name = told.period.name
        return page(
            "statement.html",
            told=told,
            versions=[each.version for each in ledger.period(name).answer.statements],
            sources=[Source(say("Statement"), f"/v1/periods/{name}/statements/{told.statement.version}")],
        )


def _add_commands(console: Blueprint) -> None:
    @console.post("/periods/<period_id>/close")
    @allow("finance")
    def post_close(period_id: str) -> Answer:
        return _acted(period_id, "close", lambda ledger: ledger.close_period(period_id, _reason(), if_match=_etag()))

    @console.post("/periods/<period_id>/restate")
    @allow("finance")
    def post_restate(period_id: str) -> Answer:
        return _acted(period_id, "restate", lambda ledger: ledger.restate(period_id, _reason(), if_match=_etag()))

    @console.post("/periods/<period_id>/carry-forward")
    @allow("finance")
    def post_carry_forward(period_id: str) -> Answer:
        if "preview" in request.form:
            return _period_page(period_id, Known(), request.form.get("into_period", ""), _rehearsed(period_id))
        body = _carrying(_reason())
        return _acted(
            period_id, "carry-forward", lambda ledger: ledger.carry_forward(period_id, body, if_match=_etag())
        )


def _carrying(reason: str) -> dict[str, str]:
    """Give what the form of a carry-forward asks for, as it was typed."""
    asked = {name: request.form.get(name, "").strip() for name in ("into_period", "booked_on")}
    return {"reason": reason, **{name: text for name, text in asked.items() if text}}


def _rehearsed(period_id: str) -> Sent:
    """Give what a carry-forward as it is typed would record, or why it can't be; a dry run's reason is kept nowhere."""
    try:
        told = client().carry_forward(period_id, _carrying("dry run"), if_match=_etag(), dry_run=True)
    except Refused as refused:
        return Sent("carry-forward", sent_form(refused), is_rehearsal=True)
    return Sent("carry-forward", sent_form(), is_rehearsal=True, rehearsed=told.carry_forward)


def _reason() -> str:
    return request.form.get("reason", "").strip()


def _etag() -> str:
    """Give the version that the form was shown with: none is no version, and is refused as such."""
    return request.form.get("etag", "")


def _acted(period_id: str, command: str, act: Callable[[Client], object]) -> Answer:
    """Do what a form asks for, and go to the period; or show the period as it is now, with the form as it was sent."""
    into = request.form.get("into_period", "")
    try:
        act(client())
    except Refused as refused:
        return _period_page(period_id, Known(), into, Sent(command, sent_form(refused)))
    return redirect(url_for("console.get_period", period_id=period_id, done=command), 303)


def _period_page(period_id: str, known: Known, into: str, sent: Sent) -> Response:
    ledger = client()
    read = ledger.period(period_id, known.point)
    told = read.answer
    name, last = told.period.period, told.statements[-1] if told.statements else None
    sources = [Source(say("Period"), f"/v1/periods/{name}", known.query)]
    lines = list[MovementLineAnswer]()
    if last is not None and told.drift:
        lines = ledger.movements(name, AtStatement(last.version), known.point).lines
        until = {f"to_{key}": value for key, value in known.query.items()}
        sources.append(
            Source(say("Causes"), "/v1/movements", {"period": name, "from_statement": last.version, **until})
        )
    ways = Ways() if known.point is not None else _ways(ledger, read, into)
    return page(
        "period.html",
        known=known,
        view=told.view,
        told=told,
        done=_done(told) if request.method == "GET" else None,
        period=told.period,
        last=last,
        causes=_causes(lines),
        causes_max=CAUSES_MAX,
        ways=ways,
        carried=sent.rehearsed or (ways.options.carry_forward if ways.options else None),
        sent=sent,
        sought=Form({"known": known.text}),
        forms={"close": Form(), "restate": Form(), "carry-forward": Form(), sent.command: sent.form},
        may_act="finance" in seen_roles() and known.point is None,
        status=200 if sent.is_rehearsal else sent.form.status,
        sources=[*sources, *_options_source(name, ways)],
    )


def _done(told: ClosingPeriodAnswer) -> Sentence | None:
    """Say what was just done to a period, if that is how it stands."""
    name, words = told.period.period, dict[str, Sentence]()
    last, carried = told.statements[-1:], told.adjustments_out[-1:]
    if carried and (carried[0].position or 0) > last[0].recorded_position:
        words["carry-forward"] = say(
            "The drift of {name} was carried forward into {into}; its statement stays.",
            name=name,
            into=carried[0].into_period,
        )
    elif last and last[0].version == 1:
        words["close"] = say("{name} was closed: these figures are its statement 1.", name=name)
    elif last:
        words["restate"] = say(
            "{name} was restated: statement {version} holds now.", name=name, version=last[0].version
        )
    return told_done(**words)


def _options_source(name: str, ways: Ways) -> list[Source]:
    if ways.options is None:
        return []
    into = ways.options.carry_forward.into_period
    return [Source(say("Both ways"), f"/v1/periods/{name}/options", {"into": into})]


def _ways(ledger: Client, read: Read[ClosingPeriodAnswer], into: str) -> Ways:
    """Give what can be done with a period now, to those who may see it."""
    told, roles = read.answer, seen_roles()
    name = told.period.period
    if not told.statements:
        return _closing(ledger, name, read.etag) if "finance" in roles else Ways()
    if not told.drift or not roles & {"finance", "auditor"}:
        return Ways()
    targets = [each for each in ledger.periods().periods if each.state == "open" and each.start >= told.period.end]
    try:
        shown = ledger.options(name, into or None)
    except Refused:
        if request.method == "GET":
            raise
        shown = ledger.options(name)  # what a form asked for is told at its field
    return Ways(shown.etag, options=shown.answer, targets=targets)


def _closing(ledger: Client, name: str, etag: str) -> Ways:
    """Give what closing a period would freeze; the reason of a dry run is kept nowhere."""
    try:
        return Ways(etag, closing=ledger.close_period(name, "dry run", if_match=ANY, dry_run=True))
    except Refused as refused:
        return Ways(etag, obstacle=refused.problem)


def _causes(lines: Iterable[MovementLineAnswer]) -> dict[Owner, list[MovementLineAnswer]]:
    """Give what moved each salesperson's figure since the statement, the biggest first."""
    causes = defaultdict[Owner, list[MovementLineAnswer]](list)
    for line in lines:
        if _size(line):
            causes[line.salesperson_id, line.currency].append(line)
    return {owner: sorted(those, key=_size, reverse=True) for owner, those in causes.items()}


def _size(line: MovementLineAnswer) -> Decimal:
    return max(abs(Decimal(line.credited_exact)), abs(Decimal(line.carried_out_exact)))
