"""The audit: what was done to the ledger and how late, the last checkpoint, what to take away, and verifying it now."""

from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import READERS, allow
from api.client import Client, Wanted
from api.console.reading import asked_day, reading
from api.console.shell import Form, Source, asked_form, client, page, seen_roles, sent_form, told_done
from api.shapes import CheckpointAnswer
from api.transport import Refused
from ledger.refusal import Code, Refusal
from ledger.wording import Sentence, say

KINDS: Final[dict[str, Sentence]] = {
    "rule_change": say("Rule changes"),
    "close": say("Closes"),
    "restatement": say("Restatements"),
    "carry_forward": say("Carry-forwards"),
    "reference_fact": say("Reference facts"),
    "checkpoint": say("Checkpoints and keys"),
    "opening": say("The opening"),
}
LATE: Final[dict[str, Sentence]] = {
    "back_dated": say("recorded after the first day that they are about"),
    "after_close": say("recorded after the close of a period of their days"),
}
ENTRIES_MAX: Final = 50
_FIELDS: Final = ("kind", "who", "from", "to", "late")
VERIFIERS: Final = ("auditor", "finance")
SIGNERS: Final = ("approver", "finance")


def add_audit(console: Blueprint) -> None:
    """Add the pages."""

    @console.get("/audit")
    @reading(*_FIELDS, "cursor", "done")
    @allow(*READERS)
    def get_audit() -> Response:
        return _audit_page(Form())

    @console.post("/audit/checkpoints")
    @allow(*SIGNERS)
    def post_checkpoint() -> Answer:
        return _acted(Client.issue_checkpoint, url_for("console.get_audit", done="signed"))

    @console.get("/audit/verification")
    @allow(*READERS)
    def get_verification() -> Response:
        source = Source(say("Verification"), "/v1/verifications/latest", files=False)
        return page("verification.html", told=client().verification(), sources=[source])

    @console.post("/audit/verification")
    @allow(*VERIFIERS)
    def post_verification() -> Answer:
        return _acted(Client.verify, url_for("console.get_verification"))


def _acted(act: Callable[[Client], object], then: str) -> Answer:
    try:
        act(client())
    except Refused as refused:
        return _audit_page(sent_form(refused))
    return redirect(then, 303)


def _audit_page(form: Form) -> Response:
    ledger = client()
    try:
        wanted = _wanted()
        told = ledger.timeline(wanted, limit=ENTRIES_MAX, cursor=request.args.get("cursor") or None)
    except (Refused, Refusal) as refused:
        sought = asked_form(refused, *_FIELDS)
        return page("audit.html", status=sought.status, sought=sought, kinds=KINDS, late=LATE)
    days = {name: day for name, day in (("from", wanted.start), ("to", wanted.end)) if day}
    sources = [
        Source(say("Timeline"), "/v1/audit/timeline", wanted.query),
        Source(say("Checkpoints"), "/v1/audit/checkpoints", files=False),
        Source(say("Verification"), "/v1/verifications/latest", files=False),
    ]
    checkpoint = last_checkpoint(ledger)
    signed = say("The ledger is signed: its first {size} events.", size=checkpoint.size) if checkpoint else None
    access = Source(say("Access log"), "/v1/audit/access", days) if "auditor" in seen_roles() else None
    takes_away = bool(seen_roles() & {"auditor", "finance"})
    return page(
        "audit.html",
        status=form.status,
        form=form,
        sought=Form(request.args.to_dict()),
        kinds=KINDS,
        late=LATE,
        entries=told.entries,
        position=told.position,
        older=told.next_cursor,
        checkpoint=checkpoint,
        done=told_done(signed=signed) if signed else None,
        told=ledger.verification(),
        periods=[each.period for each in ledger.periods().periods[::-1]] if takes_away else [],
        access=access,
        sources=[*sources, *([access] if access else [])],
    )


def _wanted() -> Wanted:
    """Read which entries the address asks for. Errors: Refusal (invalid_parameter)."""
    late = request.args.get("late", "")
    if late not in ("", *LATE):
        raise Refusal.of(
            Code.invalid_parameter, say("{late} is not one of {known}", late=late[:100], known=", ".join(LATE)), "/late"
        )
    kind = request.args.get("kind", "")
    return Wanted(
        kinds=(kind,) if kind else (),
        actor=request.args.get("who", "").strip() or None,
        start=asked_day("from"),
        end=asked_day("to"),
        back_dated=late == "back_dated",
        after_close=late == "after_close",
    )


def last_checkpoint(ledger: Client) -> CheckpointAnswer | None:
    """Give the last checkpoint; None where none was issued yet."""
    try:
        return ledger.checkpoint()
    except Refused as refused:
        if refused.code != Code.checkpoint_not_found.name:
            raise
        return None
