"""The audit report of the rulebook as answered: as JSON, and as the tables of an export."""

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec import Struct

from api.answers import rule_change_answer, view_answer
from api.exports import Column, Kind, Row, Table, columns
from api.rule_changes import impact_answer
from api.rule_tables import altered_conditions, condition_cells, condition_columns
from api.shapes import ImpactAnswer, PeriodAnswer, RuleChangeAnswer, ViewAnswer
from api.values import Share
from ledger.events import Conditions
from ledger.money import share_text
from ledger.rules import RuleVersion
from ledger.store import Store
from ledger.timeline import Piece
from projections.audit import AlteredDays, Assessment, AuditedChange, AuditedVersion, AuditReport, Evidence, assess

ASSESSMENTS_KEPT: Final = 64


class EvidenceAnswer(Struct, frozen=True):
    """Where the ledger holds an event: `leaf_hash` is the hex of SHA-256(0x00 + stored bytes), as of RFC 6962.

    `inclusion_proof` is the address at which the ledger proves that the event is in it.
    """

    position: int
    event_id: str
    leaf_hash: str
    inclusion_proof: str


class AlteredDaysAnswer(Struct, frozen=True):
    """The days [effective_from, effective_to) that the alteration of that index is about.

    `days_back_dated` are those from the first of them to the business day on which the change was approved (while it
    is not: proposed); 0 where it came in time.
    """

    alteration: int
    effective_from: date | None
    effective_to: date | None
    days_back_dated: int


class TouchedPeriodAnswer(Struct, frozen=True):
    """A period that was closed, with that statement in force, when the change was approved (while it is not: proposed).

    `reached`: the change is about days of it; `moved`: its impact moves figures of it.
    """

    period: str
    statement_version: int
    reached: bool
    moved: bool


class AuditedChangeAnswer(RuleChangeAnswer, frozen=True):
    """A rule change, why it is in the report, what it touched and moved, and where all of it is proved.

    `recorded_inside`: proposed or decided on one of the days; `effect_inside`: it is in force on some of them. The
    impact is computed again where it was seen, `impact_reproduced` says whether it has the digest that was recorded
    (null: none was, as a change made in one command has none). Of a change that is not approved, the impact and the
    touched periods are those of its proposal.
    """

    recorded_inside: bool
    effect_inside: bool
    days_back_dated: int
    altered_days: list[AlteredDaysAnswer]
    touched_closed_periods: list[TouchedPeriodAnswer]
    impact_as: Literal["approved", "proposed"]
    impact_reproduced: bool | None
    impact: ImpactAnswer
    proposal_evidence: EvidenceAnswer
    decision_evidence: EvidenceAnswer | None


class HeldStretch(Struct, frozen=True):
    """Days [start, end) of those asked, on which a rule version decides what its rule says."""

    start: date
    end: date


class AuditedRuleAnswer(Struct, frozen=True):
    """A rule version whose days [effective_from, effective_to) reach into those asked.

    `share` is null where the version ends the rule. `stretches` are the days asked on which it holds; on the others
    later versions of the same rule do, by the rule changes `superseded_by`. `position` is that of its approval.
    """

    conditions: Conditions
    share: Share | None
    effective_from: date | None
    effective_to: date | None
    stretches: list[HeldStretch]
    superseded_by: list[str]
    rule_change_id: str
    position: int


class RuleChangesAudit(Struct, frozen=True):
    """Rule changes recorded or in force on the days asked, oldest first, then the rule versions in force on them.

    `next_cursor` asks for what is behind these: changes first, then rules. The view's digest is of the whole report.
    """

    period: PeriodAnswer
    rule_changes: list[AuditedChangeAnswer]
    rules: list[AuditedRuleAnswer]
    next_cursor: str | None
    view: ViewAnswer


def audit_answer(
    store: Store, report: AuditReport, *, start: int = 0, end: int | None = None, cursor: str | None = None
) -> RuleChangesAudit:
    """Tell the changes and rules of a report from one index to another, counting changes first, then rules."""
    count = len(report.changes)
    rules = slice(max(0, start - count), None if end is None else max(0, end - count))
    return RuleChangesAudit(
        period=PeriodAnswer(report.days.name, report.days.start, report.days.end),
        rule_changes=[_change_answer(audited, assess(store, audited.change)) for audited in report.changes[start:end]],
        rules=[_version_answer(audited) for audited in report.versions[rules]],
        next_cursor=cursor,
        view=view_answer(report.view),
    )


def _change_answer(audited: AuditedChange, assessment: Assessment) -> AuditedChangeAnswer:
    return AuditedChangeAnswer(
        **msgspec.structs.asdict(rule_change_answer(audited.change)),
        recorded_inside=audited.recorded_inside,
        effect_inside=audited.effect_inside,
        days_back_dated=audited.days_back_dated,
        altered_days=[_days_answer(number, each) for number, each in enumerate(audited.altered)],
        touched_closed_periods=[
            TouchedPeriodAnswer(each.period, each.statement_version, each.reached, each.moved)
            for each in assessment.touched
        ],
        impact_as=_impact_as(audited),
        impact_reproduced=assessment.reproduced,
        impact=impact_answer(assessment.impact),
        proposal_evidence=evidence_answer(audited.proposed),
        decision_evidence=evidence_answer(audited.decided) if audited.decided else None,
    )


def _impact_as(audited: AuditedChange) -> Literal["approved", "proposed"]:
    return "approved" if audited.change.approval else "proposed"


def _days_answer(number: int, altered: AlteredDays) -> AlteredDaysAnswer:
    return AlteredDaysAnswer(number, altered.effective_from, altered.effective_to, altered.days_back_dated)


def evidence_answer(evidence: Evidence) -> EvidenceAnswer:
    """Tell where an event is, and where it is proved."""
    return EvidenceAnswer(
        evidence.position, evidence.event_id, evidence.leaf_hash, inclusion_address(evidence.position)
    )


def inclusion_address(position: int) -> str:
    """Give the address of the proof that the ledger holds the event at a position."""
    return f"/v1/audit/proofs/inclusion?position={position}"


def _version_answer(audited: AuditedVersion) -> AuditedRuleAnswer:
    version = audited.version
    return AuditedRuleAnswer(
        conditions=version.conditions,
        share=None if version.share is None else share_text(version.share),
        effective_from=version.effective_from,
        effective_to=version.effective_to,
        stretches=[HeldStretch(part.start, part.end) for part in audited.stretches],
        superseded_by=audited.superseded_by,
        rule_change_id=version.rule_change_id,
        position=version.position,
    )


# ---- as tables


_EVIDENCE = ("event_id", "leaf_hash", "inclusion_proof")
_ABOUT: Final = columns(
    period=Kind.text,
    start=Kind.day,
    end=Kind.day,
    position=Kind.integer,
    known_at=Kind.instant,
    rulebook_position=Kind.integer,
    digest=Kind.text,
)
_CHANGES: Final = (
    *columns(
        rule_change_id=Kind.text,
        state=Kind.text,
        reason=Kind.text,
        reason_code=Kind.text,
        proposer=Kind.text,
        proposed_at=Kind.instant,
        proposed_position=Kind.integer,
        decided_by=Kind.text,
        decided_at=Kind.instant,
        decision_position=Kind.integer,
        decision_reason=Kind.text,
        four_eyes=Kind.flag,
        recorded_inside=Kind.flag,
        effect_inside=Kind.flag,
        days_back_dated=Kind.integer,
        closed_periods_reached=Kind.text,
        closed_periods_moved=Kind.text,
        impact_as=Kind.text,
        impact_position=Kind.integer,
        impact_digest=Kind.text,
        impact_reproduced=Kind.flag,
        orders=Kind.integer,
        people=Kind.integer,
    ),
    *(Column(f"proposal_{name}") for name in _EVIDENCE),
    *(Column(f"decision_{name}") for name in _EVIDENCE),
)
_ALTERATIONS: Final = (
    *columns(rule_change_id=Kind.text, alteration=Kind.integer, action=Kind.text, name=Kind.text),
    *condition_columns(),
    *columns(share=Kind.amount, effective_from=Kind.day, effective_to=Kind.day, days_back_dated=Kind.integer),
)
_IMPACT: Final = columns(
    rule_change_id=Kind.text,
    period=Kind.text,
    salesperson_id=Kind.text,
    salesperson_name=Kind.text,
    currency=Kind.text,
    before=Kind.amount,
    after=Kind.amount,
    change=Kind.amount,
    before_exact=Kind.amount,
    after_exact=Kind.amount,
    change_exact=Kind.amount,
    orders=Kind.integer,
)
_RULES: Final = (
    *condition_columns(),
    *columns(
        share=Kind.amount,
        effective_from=Kind.day,
        effective_to=Kind.day,
        held_from=Kind.day,
        held_to=Kind.day,
        superseded_by=Kind.text,
        rule_change_id=Kind.text,
        position=Kind.integer,
    ),
)


def audit_tables(store: Store, report: AuditReport) -> list[Table]:
    """Give a report as tables: what it is of, the changes, their alterations, impacts, the rules in force.

    Shape: a rule has a row for each stretch on which it holds, or one row where it holds on none. Impacts are needed
    twice; those of a long report are computed twice rather than kept.
    """
    changes = report.changes
    assessed = lru_cache(maxsize=ASSESSMENTS_KEPT)(lambda number: assess(store, changes[number].change))
    return [
        Table("about", _ABOUT, [_about_row(report)]),
        Table("rule_changes", _CHANGES, (_change_row(each, assessed(at)) for at, each in enumerate(changes))),
        Table("alterations", _ALTERATIONS, (row for each in changes for row in _alteration_rows(each))),
        Table("impact", _IMPACT, (row for at, each in enumerate(changes) for row in _impact_rows(each, assessed(at)))),
        Table("rules", _RULES, (row for each in report.versions for row in _rule_rows(each))),
    ]


def _about_row(report: AuditReport) -> Row:
    days, seen = report.days, report.view
    return days.name, days.start, days.end, seen.position, seen.known_at, seen.rulebook_position, seen.digest


def _change_row(audited: AuditedChange, assessment: Assessment) -> Row:
    told = _change_answer(audited, assessment)
    decision, impact, touched = told.decision, told.impact, told.touched_closed_periods
    return (
        *(told.rule_change_id, told.state, told.reason, told.reason_code),
        *(told.proposer, told.proposed_at, told.proposed_position),
        *((decision.actor, decision.recorded_at, decision.position, decision.reason) if decision else (None,) * 4),
        decision.four_eyes if decision else None,
        *(told.recorded_inside, told.effect_inside, told.days_back_dated),
        ", ".join(each.period for each in touched if each.reached),
        ", ".join(each.period for each in touched if each.moved),
        *(told.impact_as, impact.position, impact.digest, told.impact_reproduced, impact.orders, impact.people),
        *_evidence_cells(told.proposal_evidence),
        *_evidence_cells(told.decision_evidence),
    )


def _evidence_cells(evidence: EvidenceAnswer | None) -> tuple[str | None, ...]:
    return (evidence.event_id, evidence.leaf_hash, evidence.inclusion_proof) if evidence else (None,) * 3


def _alteration_rows(audited: AuditedChange) -> Iterator[Row]:
    for number, altered in enumerate(audited.altered):
        made = altered.alteration
        yield (
            *(audited.change.rule_change_id, number, made.__struct_config__.tag, getattr(made, "name", None)),
            *condition_cells(altered_conditions(made)),
            *(getattr(made, "share", None), altered.effective_from, altered.effective_to, altered.days_back_dated),
        )


def _impact_rows(audited: AuditedChange, assessment: Assessment) -> Iterator[Row]:
    for line in impact_answer(assessment.impact).lines:
        yield (
            *(audited.change.rule_change_id, line.period, line.salesperson_id, line.name, line.currency),
            *(line.before, line.after, line.change, line.before_exact, line.after_exact, line.change_exact),
            line.orders,
        )


def _rule_rows(audited: AuditedVersion) -> Iterator[Row]:
    version = audited.version
    stretches: list[Piece[RuleVersion] | None] = [*audited.stretches] or [None]
    for held in stretches:
        yield (
            *condition_cells(version.conditions),
            None if version.share is None else share_text(version.share),
            *(version.effective_from, version.effective_to),
            *((held.start, held.end) if held else (None, None)),
            ", ".join(audited.superseded_by),
            *(version.rule_change_id, version.position),
        )
