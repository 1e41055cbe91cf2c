"""Proposing to change the rulebook, and what if: alterations as rows of a form, with their impact beside it.

A row is one alteration, its fields named as the pointers by which the API tells what is wrong. Whoever may propose sees
the impact that the proposal would carry; every reader may have whole periods computed under the altered rules. The page
keeps nothing: a draft is in the form, or in the page's address.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, get_args

import msgspec
from flask import Blueprint, Response, g, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import READERS, allow
from api.client import Client
from api.console.reading import reading
from api.console.remedies import DETAILS, for_page
from api.console.shell import Form, Source, client, page, seen_roles
from api.problems import problem_document
from api.shapes import ImpactAnswer, ImpactLineAnswer, ProblemError, SimulationAnswer
from api.transport import Refused
from ledger.checks import DAY_MAX, DAY_MIN, shown
from ledger.events import Alteration, Conditions
from ledger.refusal import Code, Problem, Refusal
from ledger.wording import Sentence, say

PERIODS_SHOWN: Final = 4
"""So many of the latest closing periods are computed where nobody says which."""
LINES_MAX: Final = 200
"""So many lines of an impact are shown while it is typed; the proposal has all."""
DRAFT: Final = "this-draft"
"""What a draft is called that has no identifier yet."""
TITLES: Final[dict[str, Sentence]] = {
    "set_rule": say("Orders like these count at a share"),
    "end_rule": say("A rule ends"),
    "define_order_type": say("A new order type"),
    "rename_order_type": say("Another name for an order type"),
    "retire_order_type": say("An order type is retired"),
}
DAYS: Final = {"effective_from": DAY_MIN.isoformat(), "effective_to": DAY_MAX.isoformat()}
"""The fields that are days, and what the others are judged with where one is none."""
_CONDITIONS: Final = tuple(f"conditions/{name}" for name in Conditions.__struct_fields__)


def _fields() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the fields of each alteration, a rule's conditions one by one, as the API names them."""
    for each in get_args(Alteration):
        names = each.__struct_fields__
        flat = (*_CONDITIONS, *names[1:]) if names[0] == "conditions" else names
        yield each.__struct_config__.tag, flat


FIELDS: Final[dict[str, tuple[str, ...]]] = dict(_fields())


@dataclass(frozen=True)
class Row:
    """One alteration as it is typed: its action, and its fields by their pointers below it."""

    action: str
    values: Mapping[str, str]

    @property
    def fields(self) -> tuple[str, ...]:
        """Name its fields."""
        return FIELDS[self.action]

    @property
    def title(self) -> Sentence:
        """Say what it does."""
        return TITLES[self.action]

    @property
    def is_blank(self) -> bool:
        """Say whether nothing is typed."""
        return not any(self.values.values())

    @property
    def alteration(self) -> dict[str, Any]:
        """Give it as the API takes it; what is empty is left out."""
        conditions = dict[str, str]()
        told: dict[str, Any] = {"action": self.action}
        if self.fields[0] in _CONDITIONS:
            told["conditions"] = conditions
        for path in self.fields:
            group, _, name = path.rpartition("/")
            if text := self.values.get(path, ""):
                (conditions if group else told)[name] = text
        return told


def proposed_rule(conditions: Mapping[str, str], days: Mapping[str, str]) -> Row:
    """Give the row in which a rule's share for these days is to be typed."""
    return Row("set_rule", {**{f"conditions/{name}": value for name, value in conditions.items()}, **days})


@dataclass(frozen=True)
class Draft:
    """A proposal as it is typed; `periods` and `without` are for the what-if alone."""

    rows: tuple[Row, ...]
    reason: str = ""
    reason_code: str = ""
    rule_change_id: str = ""
    periods: str = ""
    without: str = ""

    @property
    def is_blank(self) -> bool:
        """Say whether there is nothing to compute yet."""
        return all(row.is_blank for row in self.rows)

    @property
    def begun(self) -> "Draft":
        """Give it without the rows at its end in which nothing is typed yet."""
        rows = self.rows
        while rows and rows[-1].is_blank:
            rows = rows[:-1]
        return replace(self, rows=rows)

    @property
    def alterations(self) -> list[dict[str, Any]]:
        """Give the alterations as the API takes them."""
        return [row.alteration for row in self.rows]

    @property
    def alterations_text(self) -> str:
        """Give the alterations as a page's address holds them."""
        return msgspec.json.encode(self.alterations).decode()

    @property
    def body(self) -> dict[str, Any]:
        """Give the proposal as the API takes it."""
        texts = {"reason_code": self.reason_code, "rule_change_id": self.rule_change_id}
        given = {name: text for name, text in texts.items() if text}
        return {"alterations": self.alterations, "reason": self.reason, **given}

    @property
    def json(self) -> str:
        """Give the proposal as the API takes it, to be copied."""
        return msgspec.json.format(msgspec.json.encode(self.body), indent=2).decode()

    @property
    def address(self) -> str:
        """Give the page's address with this draft in it."""
        texts: dict[str, Any] = {name: getattr(self, name) or None for name in _TEXTS}
        return url_for("console.get_proposal", alterations=self.alterations_text, **texts)


_TEXTS: Final = ("reason", "reason_code", "rule_change_id", "periods", "without")


@dataclass(frozen=True)
class Outcome:
    """What a draft would move, as far as it can be computed; else why not.

    Shape: `rule_change_id` is what the impact calls the draft itself, where its rows meet each other.
    """

    rule_change_id: str = ""
    impact: ImpactAnswer | None = None
    simulation: SimulationAnswer | None = None
    refused: Refused | None = None

    @property
    def lines(self) -> list[ImpactLineAnswer]:
        """Give the lines of the impact that are shown: where there are too many, the biggest."""
        lines = self.impact.lines if self.impact else []
        if len(lines) <= LINES_MAX:
            return lines
        return sorted(lines, key=lambda line: abs(Decimal(line.change_exact)), reverse=True)[:LINES_MAX]


def add_proposal(console: Blueprint) -> None:
    """Add the page."""

    @console.get("/propose")
    @reading("alterations", *_TEXTS)
    @allow(*READERS)
    def get_proposal() -> Response:
        ledger = client()
        draft = _drafted(request.args, _asked_rows(request.args.get("alterations", "")), _periods_shown(ledger))
        return _proposal_page(ledger, draft, _outcome(ledger, draft.begun))

    @console.post("/propose")
    @allow(*READERS)
    def post_proposal() -> Answer:
        ledger, asked = client(), request.form.get("do", "")
        draft = _drafted(request.form, _edited(_sent_rows(request.form), asked))
        if asked != "propose" or "preview" in request.form:
            return _proposal_page(ledger, draft, _outcome(ledger, draft.begun))
        try:
            _refuse_wrong_days(ledger, draft)
            proposed = ledger.propose(draft.body).answer
        except Refused as refused:
            g.refused_as = refused.code
            return _proposal_page(ledger, draft, Outcome(refused=refused), refused.status)
        return redirect(
            url_for("console.get_rule_change", rule_change_id=proposed.rule_change_id, done="proposed"), 303
        )


def _proposal_page(ledger: Client, draft: Draft, outcome: Outcome, status: int = 200) -> Response:
    refused = outcome.refused.problem if outcome.refused else None
    return page(
        "proposal.html",
        draft=draft,
        outcome=outcome,
        form=Form({}, refused),
        is_sent=status != 200,
        titles=TITLES,
        order_types=ledger.order_types().order_types,
        named_conditions=msgspec.to_builtins,
        closing={each.period: each for each in ledger.periods().periods},
        may_propose=_may_propose(),
        status=status,
        sources=[
            Source(say("The rulebook"), "/v1/rules"),
            Source(say("Rule changes"), "/v1/rules/history"),
        ],
    )


def _may_propose() -> bool:
    return "rules" in seen_roles()


def _periods_shown(ledger: Client) -> str:
    """Name the periods that are computed whole where nobody says which: for those who see no impact otherwise."""
    if _may_propose():
        return ""
    return ", ".join(each.period for each in ledger.periods().periods[-PERIODS_SHOWN:])


def _outcome(ledger: Client, draft: Draft) -> Outcome:
    """Compute what a draft would move; nothing is recorded, so a reason may still be missing."""
    named = draft.rule_change_id or DRAFT
    impact, simulation = None, None
    try:
        if _may_propose() and not draft.is_blank:
            whole = replace(draft, reason=draft.reason or "…", rule_change_id=named)
            _refuse_wrong_days(ledger, whole)
            impact = ledger.preview(whole.body)
        if (assumed := _assumed(draft)) is not None:
            simulation = ledger.simulate(assumed)
    except Refused as refused:
        return Outcome(named, impact, simulation, refused)
    return Outcome(named, impact, simulation)


def _refuse_wrong_days(ledger: Client, draft: Draft) -> None:
    """Refuse days that are none together with what else is wrong: the API reads no further than to the first of them.

    Errors: Refused.
    """
    wrong = {
        (at, path)
        for at, row in enumerate(draft.rows)
        for path in DAYS.keys() & row.values.keys()
        if row.values[path] and not _is_day(row.values[path])
    }
    if not wrong or not _may_propose():
        return
    told = Refusal(tuple(_no_day(*place) for place in sorted(wrong)))
    rows = [
        replace(row, values={**row.values, **{path: DAYS[path] for each, path in wrong if each == at}})
        for at, row in enumerate(draft.rows)
    ]
    others = list[ProblemError]()
    try:
        ledger.preview(replace(draft, rows=tuple(rows)).body)
    except Refused as refused:
        others = [each for each in refused.problem.errors if each.pointer != "/alterations"]
    problem = for_page(problem_document(told))
    raise Refused(msgspec.structs.replace(problem, errors=[*problem.errors, *others]))


def _no_day(at: int, path: str) -> Problem:
    return Problem(Code.invalid_date, DETAILS[Code.invalid_date], f"/alterations/{at}/{path}")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _assumed(draft: Draft) -> dict[str, Any] | None:
    """Give what to simulate; None where there is nothing to assume, or no period to compute."""
    alterations = [] if draft.is_blank else draft.alterations
    without, periods = _listed(draft.without), _listed(draft.periods)
    if not periods or not (alterations or without):
        return None
    return {"periods": periods, "alterations": alterations, "without": without}


def _listed(text: str) -> list[str]:
    return [each for part in text.split(",") if (each := part.strip())]


# ---- reading a draft


def _drafted(given: Mapping[str, str], rows: tuple[Row, ...], periods: str = "") -> Draft:
    texts = {name: given.get(name, "").strip() for name in _TEXTS}
    texts["periods"] = texts["periods"] if "periods" in given else periods
    return Draft(rows or (Row("set_rule", {}),), **texts)


def _asked_rows(text: str) -> tuple[Row, ...]:
    """Read the alterations of an address, complete or not. Errors: Refusal (invalid_parameter)."""
    if not text:
        return ()
    try:
        told = msgspec.json.decode(text, type=list[dict[str, Any]])
        rows = tuple(_told_row(each) for each in told)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
        raise Refusal.of(
            Code.invalid_parameter,
            say("{text} are no alterations: give a JSON list of them, as POST /v1/rule-changes does", text=shown(text)),
            "/alterations",
        ) from None
    return rows


def _told_row(told: Mapping[str, Any]) -> Row:
    """Read an alteration. Errors: KeyError, ValueError, AttributeError for what is none."""
    conditions = told.get("conditions") or {}
    flat = {**{f"conditions/{name}": value for name, value in conditions.items()}, **told}
    given = {path: value for path, value in flat.items() if path not in {"action", "conditions"} and value is not None}
    fields = FIELDS[told["action"]]
    if not given.keys() <= set(fields):
        raise ValueError("it has fields that are not its")
    return Row(told["action"], {path: str(value) for path, value in given.items()})


def _sent_rows(form: Mapping[str, str]) -> tuple[Row, ...]:
    """Read the rows of the form. Errors: Refusal (invalid_value)."""
    rows = list[Row]()
    while (action := form.get(f"/alterations/{len(rows)}/action")) is not None:
        at = f"/alterations/{len(rows)}"
        if action not in FIELDS:
            raise Refusal.of(Code.invalid_value, say("{action} is no alteration", action=shown(action)), f"{at}/action")
        rows.append(Row(action, {path: form.get(f"{at}/{path}", "").strip() for path in FIELDS[action]}))
    return tuple(rows)


def _edited(rows: tuple[Row, ...], asked: str) -> tuple[Row, ...]:
    """Give the rows after a button was pressed: another one at the end, or one left out."""
    what, _, which = asked.partition(" ")
    if what == "add" and which in FIELDS:
        return (*rows, Row(which, {}))
    if what == "drop":
        return tuple(row for at, row in enumerate(rows) if str(at) != which)
    return rows
