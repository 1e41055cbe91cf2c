"""The check of statements: as recorded, one after the other, and a view for each of the period."""

from datetime import date
from typing import Any

from verifier.bundle import MANIFEST, NOW, View
from verifier.documents import Event
from verifier.evidence import Evidence
from verifier.figures import digest_of
from verifier.findings import Check, Malformed
from verifier.periods import period_days

NO_MANIFEST = "the manifest, which says which period this is about, can't be read"
AMOUNTS_HASHED = ("credited", "adjustments", "gross")
"""The amounts of a figure, in the order in which a statement's digest has them."""


def check_statements(check: Check, evidence: Evidence) -> None:
    """Statements are as recorded: their hashes, their versions, and a view for each of the period."""
    closings = evidence.recomputation.closings
    for period in closings.periods():
        for version, event in enumerate(closings.statements_of(period), 1):
            _check_statement(check, evidence, event, version)
    for event in closings.carried:
        if digest_of(event.data["adjustments"], ["credited"]) != event.data["digest"]:
            check.fail("its digest is not that of its adjustments", event.where)
    if evidence.bundle.manifest is None:
        check.fail(NO_MANIFEST, MANIFEST)
        return
    _check_period(check, evidence, evidence.bundle.manifest)
    for view in evidence.bundle.views:
        _check_view(check, evidence, view)
    if not check.failures:
        check.ok(f"{len(closings.statements)} statements and {len(closings.carried)} carry-forwards as recorded")


def _check_statement(check: Check, evidence: Evidence, event: Event, version: int) -> None:
    statement = event.data["statement"]
    if statement["version"] != version or (event.type == "period.closed") != (version == 1):
        check.fail(f"its statement is version {statement['version']} where {version} is due", event.where)
    if digest_of(statement["figures"], AMOUNTS_HASHED) != statement["digest"]:
        check.fail("its statement's digest is not that of its figures", event.where)
    keys = {(row["salesperson_id"], row["currency"]) for row in statement["figures"]}
    check.require(len(keys) == len(statement["figures"]), "its statement has a salesperson twice", event.where)
    check.require(statement["position"] < event.position, "its statement knows what came after it", event.where)
    expected = evidence.recomputation.rulebook_position(statement["position"])
    if statement["rulebook_position"] != expected:
        said = f"its rulebook is of position {statement['rulebook_position']}, known at its position is {expected}"
        check.fail(said, event.where)


def _check_period(check: Check, evidence: Evidence, manifest: dict[str, Any]) -> None:
    """See that the period's days are those of the ledger's calendar, and that its views are all there."""
    told = manifest["period"], manifest["start"], manifest["end"]
    if manifest["scope"] == "whole":
        check.require(told == (None, None, None), "the whole ledger is of no period", MANIFEST)
        check.require(not manifest["views"], "the whole ledger has no views", MANIFEST)
        return
    if None in told:
        check.fail("it names no period, or not its days", MANIFEST)
        return
    try:
        days = period_days(evidence.settings, manifest["period"])
        if days != told[1:]:
            check.fail(f"period {told[0]} is {days[0]} to {days[1]} by the ledger's calendar", MANIFEST)
    except Malformed as error:
        check.malformed(error, MANIFEST)
    statements = evidence.recomputation.closings.statements_of(manifest["period"])
    expected = [*(f"statement-{number}" for number in range(1, len(statements) + 1)), NOW]
    if manifest["views"] != expected:
        check.fail(f"its views should be {', '.join(expected)}", MANIFEST)
    for event in statements:
        if not _is_day_before(event.effective, manifest["end"]):
            check.fail(f"it is not of the last day before {manifest['end']}", event.where)


def _is_day_before(day: str, other: str) -> bool:
    return date.fromisoformat(other).toordinal() - date.fromisoformat(day).toordinal() == 1


def _check_view(check: Check, evidence: Evidence, view: View) -> None:
    told = view.values
    check.require(told["name"] == view.name, f"it is named {told['name']}, in the folder {view.name}", view.where)
    expected = evidence.recomputation.rulebook_position(view.position)
    if told["rulebook_position"] != expected:
        check.fail(f"its rulebook is of {told['rulebook_position']}, known at its position is {expected}", view.where)
    if view.name == NOW:
        check.require(view.position == evidence.size, f"it is not of position {evidence.size}", view.where)
        nothing = told["statement"] is None and told["statement_position"] is None
        check.require(nothing, "what is known now is no statement", view.where)
        return
    event = statement_of(evidence, view)
    if event is None:
        check.fail("no event of the bundle is this statement of the period", view.where)
        return
    if told["statement_position"] != event.position:
        check.fail(f"the statement is at position {event.position}", view.where)
    if told["statement"] != event.data["statement"]:
        check.fail(f"the statement is not the one recorded at position {event.position}", view.where)
    if view.position != event.data["statement"]["position"]:
        check.fail(f"the statement is known at position {event.data['statement']['position']}", view.where)


def statement_of(evidence: Evidence, view: View) -> Event | None:
    """Give the event that records a view's statement."""
    period = evidence.bundle.manifest["period"] if evidence.bundle.manifest else None
    for event in evidence.recomputation.closings.statements_of(period or ""):
        if f"statement-{event.data['statement']['version']}" == view.name:
            return event
    return None
